using System.Collections.Immutable;
using System.Text;
using Grid.Agreements;
using Grid.Flists.Admission;
using Grid.Flists.Hub;
using Grid.Node.Agent;
using Grid.Node.Gateways;
using Grid.Node.Secrets;
using Grid.Node.Tests.Containers;
using Grid.Nodes;
using Grid.Offers;
using Grid.Reconciliation;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

/// <summary>Whatever is wrong with a node, and in whatever language it is said: what the node says of it can be read.</summary>
[Collection(OnThisMachine.Name)]
public sealed class ReasonTests(Machine machine) : Saying
{
    // Of one, two, three and four bytes, the last of two chars; shifted, so that every limit falls into a letter of some text.
    public static TheoryData<string, int> Texts() => [.. from letter in (string[])["x", "ß", "€", "🧨"] from shift in Enumerable.Range(0, 4) select (letter, shift)];

    [Theory]
    [MemberData(nameof(Texts))]
    public async Task A_drain_says_as_much_as_a_statement_holds(string letter, int shift)
    {
        var why = Long(letter, shift);
        var drain = new Drain(Path.Combine(Kept, "drained"), Ledger.Client, Voice, NullLogger.Instance);
        drain.Note("disk", why);
        await drain.TellAsync(Cancel);
        Fills(DrainNode.LongestReason, why, Assert.IsType<DrainNode>(Ledger.Last).Reason);
    }

    [Theory]
    [MemberData(nameof(Texts))]
    public async Task A_refusal_says_as_much_as_a_statement_holds(string letter, int shift)
    {
        var path = Long(letter, shift);
        using var hubs = new HubClient(["http://127.0.0.1:1"]);
        var answers = new Answers(Ledger.Client, new DescribedFiles(hubs), [Container.KindName], new NodeSecrets(null, new SecretPlaces("/nonexistent"), inMemory: true), null, null, new DomainProofs(null, null), Voice, Capacity.None, TimeProvider.System, NullLogger.Instance);
        await answers.AnswerAsync([new Agreement.Agreed(Agreement, Version(Web(path)), [])], _ => false, Answers.LongestTurn, Cancel);
        var refused = Assert.IsType<WorkloadRefused>(Ledger.Last);
        Assert.Equal(RefusalCode.PathInvalid, refused.Code);
        Fills(WorkloadRefused.LongestDetail, $"'{path}' in 'web' is not", refused.Detail);
    }

    [Theory]
    [MemberData(nameof(Texts))]
    public async Task A_receipt_says_as_much_as_a_statement_holds(string letter, int shift)
    {
        var why = Long(letter, shift);
        var receipts = ReceiptsOn(machine);
        var observed = Observed.Nothing with { Attempts = Observed.Nothing.Attempts.Add(new WorkloadKey(Agreement, "web"), new Attempts(1, DateTimeOffset.UnixEpoch, why)) };
        receipts.Write([new Agreement.Ready(Agreement, Version(Web("/web")), [], null, [])], observed);
        await receipts.DeliverAsync(Cancel);
        Fills(WorkloadReport.LongestReason, why, Assert.Single(Assert.IsType<Receipt>(Ledger.Last).Workloads).Reason);
    }

    [Fact]
    public void Half_a_letter_is_said_as_one_that_is_not_known()
    {
        Assert.Equal("a\ufffdb\ufffd", Reason.Cut("a\ud83eb\udde8", 100));
        Assert.Equal("", Reason.Cut("€", 2));
        Assert.Equal("as it is", Reason.Cut("as it is", 8));
    }

    private static string Long(string letter, int shift) => new string('a', shift) + string.Concat(Enumerable.Repeat(letter, 1200));

    // The beginning of it, and not one letter more would have fitted.
    private static void Fills(int bytes, string whole, string? said)
    {
        Assert.NotNull(said);
        Assert.StartsWith(said.Length < whole.Length ? said : whole, said.Length < whole.Length ? whole : said, StringComparison.Ordinal);
        Assert.InRange(Encoding.UTF8.GetByteCount(said), bytes - 3, bytes);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static Container Web(string entry) => new(
        "web", Node, default, entry, [], [], "/", new ContainerUser(0, 0), new MilliCores(100), Bytes.MiB(64), 16, [], [],
        new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)), Bytes.MiB(1), [], []);

    private static Agreements.Version Version(Container web)
    {
        var (user, farm, now) = (new AccountId(Digest.Of("user"u8)), new FarmId(Digest.Of("farm"u8)), DateTimeOffset.UnixEpoch);
        var terms = new AgreementTerms(
            1, null, user, [new FarmPart(farm, default, [Node])], new Term(null, null, TimeSpan.Zero, now, now.AddHours(1), new Offline(TimeSpan.FromHours(1), Pause: false)),
            new MoneyTerms(new Currency("EUR", 9), Money.Zero, [new FarmRate(farm, Money.Zero)], TimeSpan.Zero), [web], "");
        return new Agreements.Version(new StatementId(Digest.Of("version"u8)), terms);
    }
}
