using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Grid.Node.Containers;
using Grid.Node.Machines;
using Grid.Node.Tests.Containers;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Tests.Machines;

/// <summary>An emulator that a guest has taken over says what it likes: whoever asks it ends soon, and learns no more than that it does not answer.</summary>
public sealed class QmpTests : IDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(5);

    private static readonly ContainerId Id = new(new AgreementId(Digest.Of("taken over"u8)), "vm");

    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("grid-qmp-");
    private readonly CancellationTokenSource _over = new();
    private readonly Process _process;

    public QmpTests()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "another /run for one process needs root");
        // A process of which nothing is an emulator's but the place where one listens.
        _process = Process.Start(new ProcessStartInfo("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", "mount --bind \"$0\" /run && echo && exec sleep 600", _place.FullName]) { RedirectStandardOutput = true })!;
        _process.StandardOutput.ReadLine();
    }

    public static TheoryData<string> Talks => ["a byte now and then", "events without end", "an error that is a number", "a name twice", "an answer of another type", "text that is none", "a queue that is full"];

    public void Dispose()
    {
        _over.Cancel();
        _process.Kill();
        _process.Dispose();
        _over.Dispose();
        _place.Delete(recursive: true);
    }

    [Theory]
    [MemberData(nameof(Talks))]
    public async Task Pressing_its_button_comes_to_an_outcome_soon(string talk)
    {
        using var listener = Listen(talk);
        Assert.IsType<Outcome.Transient>(await MachineHost.PowerDownAsync(Emulator, TimeSpan.Zero, TestContext.Current.CancellationToken).WaitAsync(Soon, TestContext.Current.CancellationToken));
    }

    [Theory]
    [MemberData(nameof(Talks))]
    public async Task A_look_at_it_ends_soon_and_is_unknown(string talk)
    {
        using var listener = Listen(talk);
        Assert.IsType<Sighting<MachineSeen>.Unknown>(await LookAsync(Machines(TimeProvider.System)));
    }

    /// <summary>Every look of the node waits for the slowest of its machines.</summary>
    [Fact]
    public async Task One_that_keeps_its_asker_waiting_does_so_once_in_a_while_and_not_at_every_look()
    {
        var time = new Later();
        var machines = Machines(time);
        using var listener = Listen("a byte now and then");
        var first = Assert.IsType<Sighting<MachineSeen>.Unknown>(await LookAsync(machines));
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < 20; i++)
            Assert.Equal(first, await LookAsync(machines));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(1.5), $"{clock.Elapsed}");
        time.Added = MachineHost.BackOff;
        clock.Restart();
        await LookAsync(machines);
        Assert.True(clock.Elapsed > TimeSpan.FromSeconds(2), $"It was not asked again: {clock.Elapsed}");
    }

    private MachineHost Machines(TimeProvider time)
    {
        var run = _place.CreateSubdirectory("machines");
        run.CreateSubdirectory($"{Id}");
        return new MachineHost(run.FullName, new RootImages(run.FullName), time);
    }

    private async Task<Sighting<MachineSeen>> LookAsync(MachineHost machines)
    {
        var running = new Observation.Present(null, null, new Phase.Running(Emulator, DateTimeOffset.UnixEpoch), 0);
        var seen = await Task.Run(() => machines.Observe(new Node.Containers.Sighting(new Dictionary<ContainerId, Observation> { [Id] = running }, null))).WaitAsync(Soon, TestContext.Current.CancellationToken);
        return seen[Id.Key];
    }

    private sealed class Later : TimeProvider
    {
        public TimeSpan Added { get; set; }

        public override long GetTimestamp() => base.GetTimestamp() + (long)(Added.TotalSeconds * TimestampFrequency);
    }

    private ProcessIdentity Emulator => Processes.Identify(_process.Id)!.Value;

    private Socket Listen(string talk)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(Path.Combine(_place.FullName, "qmp")));
        listener.Listen(0);
        if (talk == "a queue that is full")
            new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified).Connect(listener.LocalEndPoint!);
        else
            _ = Task.Run(() => TalkAsync(listener, talk));
        return listener;
    }

    private async Task TalkAsync(Socket listener, string talk)
    {
        try
        {
            using var to = await listener.AcceptAsync(_over.Token);
            if (talk == "a byte now and then")
                await RepeatAsync(to, "x", TimeSpan.FromSeconds(1));
            await SayAsync(to, """{"QMP":{}}""" + "\n");
            if (talk == "events without end")
                await RepeatAsync(to, """{"event":"STOP"}""" + "\n", TimeSpan.Zero);
            for (var answer = Answer(talk); await to.ReceiveAsync(new byte[4096], _over.Token) > 0;)
                await SayAsync(to, answer + "\n");
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            // Whoever asked has hung up, or the test is over.
        }
    }

    private static string Answer(string talk) => talk switch
    {
        "an error that is a number" => """{"error":1}""",
        "a name twice" => """{"a":1,"a":2}""",
        "an answer of another type" => """{"error":[{}]}""",
        "text that is none" => """{"error":{"desc":"\ud800"}}""",
        _ => throw new UnreachableException(talk),
    };

    private async Task RepeatAsync(Socket to, string text, TimeSpan every)
    {
        for (; ; await Task.Delay(every, _over.Token))
            await SayAsync(to, text);
    }

    private async Task SayAsync(Socket to, string text) => await to.SendAsync(Encoding.UTF8.GetBytes(text), _over.Token);
}
