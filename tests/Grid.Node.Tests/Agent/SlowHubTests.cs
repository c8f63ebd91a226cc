using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Agreements;
using Grid.Flists.Admission;
using Grid.Flists.Hub;
using Grid.Ledger.Tests;
using Grid.Node.Agent;
using Grid.Node.Gateways;
using Grid.Node.Secrets;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

/// <summary>A hub that is slow holds up the agreement whose files it has. The node hears its ledger, and answers the others.</summary>
public sealed class SlowHubTests : IDisposable
{
    private const string Origin = "grid.test/main";

    private static readonly Capacity Boundless = new(new MilliCores(1 << 30), Bytes.GiB(1 << 20), Bytes.GiB(1 << 20), Bytes.GiB(1 << 20), 1 << 20);
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1), Soon = TimeSpan.FromSeconds(20);
    private static readonly NodeId Here = new(Digest.Of("here"u8));

    private readonly SigningKey _key = SigningKey.FromSeed(new byte[32]);
    private readonly HearingLedger _heard = new(Origin);
    private readonly TestClock _clock = new(Epoch);
    private readonly Hub _hub = new();
    private readonly HubClient _hubs;
    private readonly Answers _answers;

    public SlowHubTests()
    {
        _hubs = new HubClient([_hub.Address], HubClientOptions.Default with { IdleTimeout = Hour });
        _answers = new Answers(
            _heard.Client, new DescribedFiles(_hubs), [Container.KindName], new NodeSecrets(null, new SecretPlaces("/nonexistent"), inMemory: true), null, null,
            new DomainProofs(null, null), new NodeVoice(_key, Here, Origin, TimeProvider.System), Boundless, _clock, NullLogger.Instance);
    }

    public void Dispose()
    {
        _hub.Dispose();
        _hubs.Dispose();
        _heard.Dispose();
        _key.Dispose();
    }

    [Fact]
    public async Task An_agreement_whose_files_are_slow_to_come_waits_and_the_others_are_answered()
    {
        var (slow, other) = (Agreed("slow", "/bin/web"), Agreed("other", "no path"));
        Assert.True(await TurnAsync(Hour, Answers.LongestTurn, slow, other));
        Assert.True(_answers.Waiting);
        Assert.StartsWith(RefusalCode.FlistIncomplete, _answers.Unanswered[slow.Id], StringComparison.Ordinal);
        Assert.Equal((other.Id, RefusalCode.PathInvalid), Assert.Single(_heard.Heard) is WorkloadRefused no ? (no.Agreement, no.Code) : default);
    }

    [Fact]
    public async Task A_turn_is_no_longer_than_the_silence_of_the_ledger_may_be()
    {
        var slow = Agreed("slow", "/bin/web");
        await TurnAsync(TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(5), slow);
        Assert.Equal(slow.Id, Assert.Single(_answers.Unanswered).Key);
    }

    [Fact]
    public async Task What_was_begun_goes_on_and_is_answered_when_it_ends()
    {
        var slow = Agreed("slow", "/bin/web");
        await TurnAsync(Hour, Answers.LongestTurn, slow);
        _hub.GoOn();
        Assert.True(await _answers.AnswerAsync([slow], _ => false, Hour, Stop).WaitAsync(Soon, Stop));
        Assert.False(_answers.Waiting);
        Assert.Equal(RefusalCode.FlistIncomplete, Assert.IsType<WorkloadRefused>(_heard.Last).Code);
        Assert.Equal(1, _hub.Requests);
    }

    [Fact]
    public async Task What_a_hub_says_at_last_may_be_no_text()
    {
        var slow = Agreed("slow", "/bin/web");
        await TurnAsync(Hour, Answers.LongestTurn, slow);
        _hub.GoOn("""{"code":"\ud800"}""");
        Assert.True(await _answers.AnswerAsync([slow], _ => false, Hour, Stop).WaitAsync(Soon, Stop));
        Assert.Equal(RefusalCode.FlistIncomplete, Assert.IsType<WorkloadRefused>(_heard.Last).Code);
    }

    [Fact]
    public async Task What_nobody_waits_for_any_more_makes_room()
    {
        await TurnAsync(Hour, Answers.LongestTurn, Agreed("first", "/bin/web"), Agreed("second", "/bin/web"));
        await _hub.Asked(2).WaitAsync(Soon, Stop);
        await _answers.AnswerAsync([], _ => false, Hour, Stop).WaitAsync(Soon, Stop);
        var (asked, third) = (_hub.Asked(3), Agreed("third", "/bin/web"));
        var turn = _answers.AnswerAsync([third], _ => false, Hour, Stop);
        await asked.WaitAsync(Soon, Stop);
        _hub.GoOn();
        Assert.True(await turn.WaitAsync(Soon, Stop));
        Assert.Equal(third.Id, Assert.IsType<WorkloadRefused>(_heard.Last).Agreement);
    }

    [Fact]
    public async Task What_takes_long_gives_way_to_what_waits()
    {
        await TurnAsync(Hour, Answers.LongestTurn, Agreed("first", "/bin/web"), Agreed("second", "/bin/web"), Agreed("third", "/bin/web"));
        await _hub.Asked(2).WaitAsync(Soon, Stop);
        _clock.Set(_clock.GetUtcNow() + FileExaminations.Longest);
        await _hub.Asked(3).WaitAsync(Soon, Stop);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    // The hub was asked, and then so much time is over.
    private async Task<bool> TurnAsync(TimeSpan patience, TimeSpan over, params Agreement[] agreements)
    {
        var turn = _answers.AnswerAsync(agreements, _ => false, patience, Stop);
        await _hub.Asked(1).WaitAsync(Soon, Stop);
        _clock.Set(_clock.GetUtcNow() + over);
        return await turn.WaitAsync(Soon, Stop);
    }

    private static Agreement.Agreed Agreed(string name, string entry)
    {
        var (farm, id) = (new FarmId(Digest.Of("farm"u8)), Digest.Of(Encoding.UTF8.GetBytes(name)));
        var web = new Container(
            "web", Here, new FlistId(id), entry, [], [], "/", new ContainerUser(0, 0), new MilliCores(100), Bytes.MiB(64), 16, [], [],
            new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)), Bytes.MiB(1), [], []);
        var terms = new AgreementTerms(
            1, null, new AccountId(Digest.Of("user"u8)), [new FarmPart(farm, default, [Here])], new Term(null, null, TimeSpan.Zero, Epoch, Epoch + Hour, new Offline(Hour, Pause: false)),
            new MoneyTerms(new Currency("EUR", 9), Money.Zero, [new FarmRate(farm, Money.Zero)], TimeSpan.Zero), [web], "");
        return new Agreement.Agreed(new AgreementId(id), new Agreements.Version(new StatementId(id), terms), []);
    }

    /// <summary>Has nothing, and begins to say so; the end of it comes when the test wants.</summary>
    private sealed class Hub : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly TaskCompletionSource<string> _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly SemaphoreSlim _asked = new(0);
        private int _requests;

        public Hub()
        {
            _listener.Start();
            _ = AcceptAsync();
        }

        public string Address => $"http://{_listener.LocalEndpoint}";

        public int Requests => _requests;

        /// <summary>Completes when so many were asked for in all.</summary>
        public async Task Asked(int requests)
        {
            while (_requests < requests)
                await _asked.WaitAsync(Stop);
        }

        public void GoOn(string problem = "{}") => _goOn.TrySetResult(problem);

        public void Dispose()
        {
            _goOn.TrySetCanceled();
            _listener.Dispose();
            _asked.Dispose();
        }

        private async Task AcceptAsync()
        {
            try
            {
                while (true)
                    _ = AnswerAsync(await _listener.AcceptTcpClientAsync());
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The test is over.
            }
        }

        private async Task AnswerAsync(TcpClient client)
        {
            using var _ = client;
            try
            {
                using var reader = new StreamReader(client.GetStream());
                while (!string.IsNullOrEmpty(await reader.ReadLineAsync()))
                    continue;
                await client.GetStream().WriteAsync("HTTP/1.1 404 Not Found\r\n"u8.ToArray());
                Interlocked.Increment(ref _requests);
                _asked.Release();
                var problem = await _goOn.Task;
                await client.GetStream().WriteAsync(Encoding.UTF8.GetBytes($"Content-Type: application/problem+json\r\nContent-Length: {problem.Length}\r\nConnection: close\r\n\r\n{problem}"));
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                // Whoever asked has hung up, or the test is over.
            }
        }
    }
}
