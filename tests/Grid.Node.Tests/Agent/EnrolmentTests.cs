using System.Text.Json;
using Grid.Node.Agent;
using Grid.Nodes;
using Grid.Statements;
using Grid.Units;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

/// <summary>An invite is good once: a join that may have been recorded is the only one this node will ever have.</summary>
public sealed class EnrolmentTests : IDisposable
{
    private readonly SigningKey _key = SigningKey.FromSeed(new byte[32]);
    private readonly RecordingLedger _ledger = new();
    private readonly Clock _clock = new();
    private readonly string _data = Directory.CreateTempSubdirectory("grid-enrolment-").FullName;

    public EnrolmentTests() => File.WriteAllText(Path.Combine(_data, "invite"), JsonSerializer.Serialize(new
    {
        version = 1,
        farm = new FarmId(Digest.Of("farm"u8)).ToString(),
        invite = new StatementId(Digest.Of("invite"u8)).ToString(),
        seed = Convert.ToBase64String(Digest.Of("seed"u8).ToArray()),
    }));

    public void Dispose()
    {
        _ledger.Dispose();
        _key.Dispose();
        Directory.Delete(_data, recursive: true);
    }

    [Theory]
    [InlineData("a proxy's page")]
    [InlineData("a portal")]
    [InlineData("another thing")]
    [InlineData(RefusalCode.NotYetValid)]
    [InlineData(RefusalCode.WrongLedger)]
    public async Task A_join_whose_answer_does_not_hold_up_is_found_again_by_the_next_start(string answer)
    {
        (_ledger.Hears, _ledger.Instead) = (true, () => RecordingLedger.Says(answer));
        var refused = await Assert.ThrowsAsync<NodeException>(JoinAsync);
        Assert.Contains("The join is not taken yet: ", refused.Message, StringComparison.Ordinal);
        _ledger.Instead = () => null;
        // Later, so that another join would be another statement.
        _clock.Now += TimeSpan.FromMinutes(1);
        var node = await JoinAsync();
        Assert.Equal(Statement.Decode(File.ReadAllBytes(Kept)).Id.Value, node.Value);
        Assert.IsType<JoinNode>(Assert.Single(_ledger.Recorded));
        // And from then on without asking.
        _ledger.Instead = () => throw new InvalidOperationException("It asked.");
        await JoinAsync();
    }

    [Fact]
    public async Task A_join_that_is_refused_for_good_makes_room_for_a_better_invite()
    {
        _ledger.Instead = () => RecordingLedger.Says(RefusalCode.InviteExpired);
        Assert.Contains("The ledger refuses the join: ", (await Assert.ThrowsAsync<NodeException>(JoinAsync)).Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Kept));
    }

    [Fact]
    public async Task A_join_that_a_clock_signed_which_ran_ahead_is_signed_again_once_that_is_right()
    {
        _ledger.Instead = () => RecordingLedger.Says(RefusalCode.NotYetValid);
        _clock.Now += TimeSpan.FromDays(365);
        await Assert.ThrowsAsync<NodeException>(JoinAsync);
        Assert.True(File.Exists(Kept));
        _clock.Now -= TimeSpan.FromDays(365);
        await Assert.ThrowsAsync<NodeException>(JoinAsync);
        Assert.False(File.Exists(Kept));
    }

    [Fact]
    public async Task A_report_is_sent_until_the_ledger_itself_answers()
    {
        var answers = new Queue<string>(["a proxy's page", RefusalCode.NotYetValid, "nobody"]);
        _ledger.Instead = () => answers.TryDequeue(out var next) ? RecordingLedger.Says(next) : null;
        var voice = new NodeVoice(_key, new NodeId(Digest.Of("node"u8)), RecordingLedger.Origin, _clock);
        await Start().ReportAsync(voice, TestContext.Current.CancellationToken);
        Assert.IsType<ReportNode>(Assert.Single(_ledger.Recorded));
        Assert.Equal(4, _ledger.Sent);
        // It is said once.
        await Start().ReportAsync(voice, TestContext.Current.CancellationToken);
        Assert.Equal(4, _ledger.Sent);
    }

    private string Kept => Path.Combine(_data, "join.cose");

    private Task<NodeId> JoinAsync() => Start().JoinAsync(TestContext.Current.CancellationToken);

    private Enrolment Start()
    {
        var options = NodeOptions.Parse(
            ["--ledger", "http://ledger.invalid", "--origin", RecordingLedger.Origin, "--ledger-key", $"{_key.Public}", "--hub", "http://hub.invalid", "--data", _data, "--run", _data, "--invite", Path.Combine(_data, "invite")], out var wrong);
        Assert.Empty(wrong);
        return new Enrolment(options!, ["container"], null, Capacity.None, null, _key, _ledger.Client, _clock, NullLogger.Instance);
    }

    /// <summary>Stands still, and lets nobody wait.</summary>
    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => base.CreateTimer(callback, state, TimeSpan.Zero, period);
    }
}
