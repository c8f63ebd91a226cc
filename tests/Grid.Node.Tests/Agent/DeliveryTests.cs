using System.Collections.Immutable;
using System.Text;
using Grid.Agreements;
using Grid.Node.Agent;
using Grid.Node.Networks;
using Grid.Node.Tests.Containers;
using Grid.Offers;
using Grid.Reconciliation;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

/// <summary>A receipt is a farmer's money: it is signed in time, and waits in its order until the ledger has said its last word of it.</summary>
[Collection(OnThisMachine.Name)]
public sealed class DeliveryTests : IDisposable
{
    private static readonly NodeId Node = new(Digest.Of("node"u8));
    private static readonly FarmId Farm = new(Digest.Of("farm"u8));

    private readonly SigningKey _key = SigningKey.FromSeed(new byte[32]);
    private readonly RecordingLedger _ledger = new();
    private readonly Time _time = new();
    private readonly string _kept = Directory.CreateTempSubdirectory("grid-delivery-").FullName;
    private readonly Machine _machine;
    private Counters _counters = new(TimeSpan.FromSeconds(1), Bytes.MiB(64), []);
    private Grid.Node.Agent.Receipts _receipts;

    public DeliveryTests(Machine machine)
    {
        _machine = machine;
        _receipts = Start();
    }

    public void Dispose()
    {
        _ledger.Dispose();
        _key.Dispose();
        Directory.Delete(_kept, recursive: true);
    }

    [Theory]
    [InlineData("a proxy's page")]
    [InlineData("a portal")]
    [InlineData("another thing")]
    [InlineData("nobody")]
    [InlineData("busy")]
    [InlineData(RefusalCode.NotYetValid)]
    [InlineData(RefusalCode.WrongLedger)]
    public async Task What_is_not_the_ledgers_last_word_costs_no_receipt(string answer)
    {
        _ledger.Instead = () => RecordingLedger.Says(answer);
        foreach (var agreement in (ReadOnlySpan<int>)[1, 2, 3])
            Write(agreement);
        await DeliverAsync();
        // The next would fare no better, and would overtake it.
        Assert.Equal((1, 3), (_ledger.Sent, _receipts.Waits));

        // Over a restart, too.
        _receipts = Start();
        Write(4);
        await DeliverAsync();
        _ledger.Instead = () => null;
        await DeliverAsync();
        Assert.Equal([1, 2, 3, 4], _ledger.Recorded.Select(Number));
        Assert.Equal(0, _receipts.Waits);
    }

    [Fact]
    public async Task One_that_was_recorded_and_not_heard_of_is_recorded_once()
    {
        (_ledger.Hears, _ledger.Instead) = (true, () => RecordingLedger.Says("a proxy's page"));
        Write(1);
        await DeliverAsync();
        (_ledger.Hears, _ledger.Instead) = (false, () => null);
        Write(2);
        await DeliverAsync();
        Assert.Equal([1, 2], _ledger.Recorded.Select(Number));
        Assert.Equal((3, 0), (_ledger.Sent, _receipts.Waits));
    }

    [Fact]
    public async Task What_is_refused_for_good_holds_nothing_up()
    {
        var answers = new Queue<string>([RefusalCode.WrongState]);
        _ledger.Instead = () => answers.TryDequeue(out var next) ? RecordingLedger.Says(next) : null;
        Write(1);
        Write(2);
        await DeliverAsync();
        Assert.Equal([2], _ledger.Recorded.Select(Number));
        Assert.Equal(0, _receipts.Waits);
    }

    [Fact]
    public async Task One_that_a_clock_signed_which_ran_ahead_waits_for_its_time_alone()
    {
        _time.Jump(TimeSpan.FromDays(1));
        Write(1);
        _time.Jump(TimeSpan.FromDays(-1));
        Write(2);
        await DeliverAsync();
        Assert.Equal([2], _ledger.Recorded.Select(Number));
        Assert.Equal((1, 1), (_ledger.Sent, _receipts.Waits));
        _time.Pass(TimeSpan.FromDays(1));
        await DeliverAsync();
        Assert.Equal([2, 1], _ledger.Recorded.Select(Number));
    }

    [Fact]
    public async Task So_many_wait_and_no_more_and_the_oldest_goes_first()
    {
        // As an agent before this one left them: what they say is looked at when their turn comes.
        Directory.CreateDirectory(Path.Combine(_kept, "receipts"));
        for (var i = 0; i < Grid.Node.Agent.Receipts.MaximumWaiting - 1; i++)
            File.WriteAllBytes(Path.Combine(_kept, "receipts", $"{i:d12}.cose"), []);
        Write(1);
        Assert.Equal(Grid.Node.Agent.Receipts.MaximumWaiting, _receipts.Waits);
        Assert.True(File.Exists(Path.Combine(_kept, "receipts", $"{0:d12}.cose")));
        Write(2);
        Write(3);
        Assert.Equal(Grid.Node.Agent.Receipts.MaximumWaiting, _receipts.Waits);
        Assert.Equal($"{2:d12}.cose", Path.GetFileName(Directory.EnumerateFiles(Path.Combine(_kept, "receipts")).Min(StringComparer.Ordinal)));
        await DeliverAsync();
        Assert.Equal([1, 2, 3], _ledger.Recorded.Select(Number));
    }

    [Fact]
    public async Task Every_five_minutes_and_on_every_change_and_at_no_other_time()
    {
        Write(1);
        foreach (var (seconds, phase) in new[] { (0, ContainerPhase.Running), (299, ContainerPhase.Running), (1, ContainerPhase.Running), (60, ContainerPhase.Paused), (299, ContainerPhase.Paused), (1, ContainerPhase.Paused) })
        {
            _time.Pass(TimeSpan.FromSeconds(seconds));
            Write(1, phase);
        }
        await DeliverAsync();
        var said = _ledger.Recorded.Cast<Receipt>().Select(r => ((r.From - Time.Began).TotalMinutes, (r.To - Time.Began).TotalMinutes, r.Workloads[0].State));
        // Each begins where the one before ended: no time is without one, and none is in two.
        Assert.Equal([(0, 0, WorkloadState.Running), (0, 5, WorkloadState.Running), (5, 6, WorkloadState.Stopped), (6, 11, WorkloadState.Stopped)], said);
    }

    [Fact]
    public async Task A_killed_agent_leaves_no_time_out_and_what_was_used_meanwhile_is_said()
    {
        Write(1);
        Uses(seconds: 60, cpu: 500, sent: 10);
        Write(1);
        Uses(seconds: 60, cpu: 700, sent: 20);
        _receipts = Start();
        Write(1);
        Uses(seconds: 180, cpu: 900, sent: 30);
        Write(1);
        await DeliverAsync();
        // What memory was held while nobody looked is not known.
        Assert.Equal(
            [((0, 0), Consumption.None), ((0, 5), new Consumption(2_100, (60 + 180) * 64, Bytes.Zero, new Bytes(60), Bytes.Zero))],
            _ledger.Recorded.Cast<Receipt>().Select(r => (Minutes(r), r.Workloads[0].Used)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_found_no_room_is_said_by_the_same_agent_later_and_by_the_next_agent_not_twice(bool killed)
    {
        Write(1);
        Uses(seconds: 300, cpu: 500, sent: 10);
        await DeliverAsync();
        Directory.Delete(Path.Combine(_kept, "receipts"));
        File.WriteAllText(Path.Combine(_kept, "receipts"), "in the way");
        Assert.ThrowsAny<IOException>(() => Write(1));
        File.Delete(Path.Combine(_kept, "receipts"));
        if (killed)
            _receipts = Start();
        Uses(seconds: 60, cpu: 700, sent: 20);
        // The next agent cannot know whether the last one was said, and says how things stand.
        Write(1);
        Write(1, ContainerPhase.Paused);
        await DeliverAsync();
        (int, int)[] said = killed ? [(0, 0), (5, 6), (6, 6)] : [(0, 0), (0, 5), (5, 6)];
        Assert.Equal(said, _ledger.Recorded.Cast<Receipt>().Select(Minutes));
        Assert.Equal(killed ? 700 : 1_200, _ledger.Recorded.Cast<Receipt>().Sum(r => r.Workloads[0].Used.CpuMillis));
    }

    [Fact]
    public async Task However_often_the_agent_is_killed_what_was_used_is_said_once_and_every_time_belongs_to_one_receipt()
    {
        var (random, began) = (new Random(11), _counters);
        Write(1);
        for (var i = 0; i < 1_000; i++)
        {
            Uses(random.Next(1, 60), random.Next(3_000), random.Next(1 << 20));
            if (random.Next(4) == 0)
                _receipts = Start();
            Write(1, random.Next(20) == 0 ? ContainerPhase.Paused : ContainerPhase.Running);
        }
        _time.Pass(TimeSpan.FromMinutes(5));
        Write(1);
        await DeliverAsync();
        var receipts = _ledger.Recorded.Cast<Receipt>().ToList();
        Assert.Equal(receipts.SkipLast(1).Select(r => r.To), receipts.Skip(1).Select(r => r.From));
        var used = receipts.Aggregate(Consumption.None, (sum, r) => sum.Then(r.Workloads[0].Used));
        Assert.Equal(((_counters.Cpu - began.Cpu).TotalMilliseconds, _counters.Links!.Value[0].Sent), (used.CpuMillis, used.Sent));
        Assert.InRange(used.MemoryMibSeconds, 1, (long)(_time.GetUtcNow() - Time.Began).TotalSeconds * 64);
    }

    [Fact]
    public async Task What_is_gone_is_said_once_however_long_its_proof_is_kept()
    {
        Write(1);
        for (var i = 0; i < 10; i++)
        {
            _time.Pass(TimeSpan.FromHours(1));
            Assert.Equal([IdOf(1)], _receipts.Write([new Agreement.Ended(IdOf(1), Version("version"), new EndReason.Expired(), Time.Began, [])], Observed.Nothing));
        }
        await DeliverAsync();
        Assert.Equal([WorkloadState.Running, WorkloadState.Gone], _ledger.Recorded.Cast<Receipt>().Select(r => r.Workloads[0].State));
    }

    [Fact]
    public async Task Time_that_passed_under_nobody_knows_which_version_is_in_no_receipt()
    {
        Write(1);
        _time.Pass(TimeSpan.FromMinutes(3));
        Write(1, version: "amended");
        _time.Pass(TimeSpan.FromHours(3));
        // The agent did not live to see this amendment.
        _receipts = Start();
        Write(1, version: "amended again");
        await DeliverAsync();
        Assert.Equal([(0, 0), (0, 3), (183, 183)], _ledger.Recorded.Cast<Receipt>().Select(Minutes));
    }

    [Fact]
    public void What_was_counted_in_another_boot_is_nothing_to_this_one()
    {
        var path = Path.Combine(_kept, "receipts.json");
        Write(1);
        Assert.Single(ReceiptState.Read(path).Told);
        File.WriteAllText(path, File.ReadAllText(path).Replace(ReceiptState.Read(path).Boot, $"{Guid.NewGuid()}", StringComparison.Ordinal));
        Assert.Empty(ReceiptState.Read(path).Told);
        File.WriteAllText(path, "{");
        Assert.Empty(ReceiptState.Read(path).Told);
    }

    private void Uses(int seconds, int cpu, long sent)
    {
        _time.Pass(TimeSpan.FromSeconds(seconds));
        var before = _counters.Links is [var link] ? link.Sent : Bytes.Zero;
        _counters = _counters with { Cpu = _counters.Cpu + TimeSpan.FromMilliseconds(cpu), Links = [new LinkTraffic("gc1", before + new Bytes(sent), Bytes.Zero)] };
    }

    private static (int From, int To) Minutes(Receipt receipt) => ((int)(receipt.From - Time.Began).TotalMinutes, (int)(receipt.To - Time.Began).TotalMinutes);

    private static int Number(Body body) => Enumerable.Range(1, 9).Single(n => IdOf(n) == Assert.IsType<Receipt>(body).Agreement);

    private static AgreementId IdOf(int number) => new(Digest.Of([(byte)number]));

    private Grid.Node.Agent.Receipts Start()
    {
        var receipts = new Grid.Node.Agent.Receipts(
            Path.Combine(_kept, "receipts"), Path.Combine(_kept, "receipts.json"), _ledger.Client, new LedgerContact(Path.Combine(_kept, "heard"), _time), new NodeVoice(_key, Node, RecordingLedger.Origin, _time),
            new WorkloadSight(_machine.Hosts), new Meter(_ => _counters, _time), _time, NullLogger.Instance);
        receipts.Restore();
        return receipts;
    }

    private Task DeliverAsync() => _receipts.DeliverAsync(TestContext.Current.CancellationToken);

    private void Write(int number, ContainerPhase phase = ContainerPhase.Running, string version = "version")
    {
        var seen = new ContainerSeen(default, default, 1, phase);
        var observed = Observed.Nothing with { Containers = Observed.Nothing.Containers.Add(new WorkloadKey(IdOf(number), "web"), new Sighting<ContainerSeen>.Present(seen)) };
        _receipts.Write([new Agreement.Ready(IdOf(number), Version(version), [], null, [])], observed);
    }

    private static Agreements.Version Version(string name) => new(new StatementId(Digest.Of(Encoding.UTF8.GetBytes(name))), new AgreementTerms(
        1, null, new AccountId(Digest.Of("user"u8)), [new FarmPart(Farm, default, [Node])], new Term(null, null, TimeSpan.Zero, Time.Began, Time.Began.AddHours(1), new Offline(TimeSpan.FromHours(1), Pause: false)),
        new MoneyTerms(new Currency("EUR", 9), Money.Zero, [new FarmRate(Farm, Money.Zero)], TimeSpan.Zero), [Web], ""));

    private static Container Web { get; } = new(
        "web", Node, default, "/web", [], [], "/", new ContainerUser(0, 0), new MilliCores(100), Bytes.MiB(64), 16, [], [],
        new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)), Bytes.MiB(1), [], []);

    private sealed class Time : TimeProvider
    {
        public static readonly DateTimeOffset Began = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        private TimeSpan _passed, _set;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override DateTimeOffset GetUtcNow() => Began + _passed + _set;

        public override long GetTimestamp() => _passed.Ticks;

        public void Pass(TimeSpan time) => _passed += time;

        public void Jump(TimeSpan by) => _set += by;
    }
}
