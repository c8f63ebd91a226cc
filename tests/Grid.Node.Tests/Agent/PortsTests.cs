using System.Collections.Immutable;
using System.Net;
using Grid.Agreements;
using Grid.Flists.Admission;
using Grid.Flists.Hub;
using Grid.Gateways;
using Grid.Networks;
using Grid.Node.Agent;
using Grid.Node.Gateways;
using Grid.Node.Networks;
using Grid.Node.Secrets;
using Grid.Node.Tests.Networks;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

/// <summary>A port that the node published for one agreement is published for no other, also when the node does not know of the one.</summary>
public sealed class PortsTests : IDisposable
{
    private const string Origin = "grid.test/main";

    private static readonly Capacity Boundless = new(new MilliCores(1 << 30), Bytes.GiB(1 << 20), Bytes.GiB(1 << 20), Bytes.GiB(1 << 20), 1 << 20);
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly NodeId Here = new(Digest.Of("here"u8));

    private readonly SigningKey _key = SigningKey.FromSeed(new byte[32]);
    private readonly HearingLedger _heard = new(Origin);
    private readonly HubClient _hubs = new(["http://127.0.0.1:1"]);

    public void Dispose()
    {
        _heard.Dispose();
        _hubs.Dispose();
        _key.Dispose();
    }

    [Fact]
    public async Task Two_agreements_answered_at_once_are_given_two_ports()
    {
        using var lab = new Lab(By.Process);
        var (answers, (one, other)) = (AnswersOf(lab.A), OfOnePort(lab.A.Host));
        await answers.AnswerAsync([Agreed(one, "a"), Agreed(other, "b")], _ => false, Answers.LongestTurn, TestContext.Current.CancellationToken);
        Assert.Equal(2, Ports().Distinct().Count());
        Assert.False(answers.Waiting);
    }

    [Fact]
    public async Task A_port_that_the_ledger_knows_to_be_in_use_is_not_published_again()
    {
        using var lab = new Lab(By.Process);
        var answers = AnswersOf(lab.A);
        _heard.Code = RefusalCode.PortConflict;
        ImmutableArray<Agreement> agreed = [Agreed(new AgreementId(Digest.Of("one"u8)), "a")];
        await answers.AnswerAsync(agreed, _ => false, Answers.LongestTurn, TestContext.Current.CancellationToken);
        Assert.True(answers.Waiting);
        await answers.AnswerAsync(agreed, _ => false, Answers.LongestTurn, TestContext.Current.CancellationToken);
        _heard.Code = RefusalCode.AlreadySo;
        await answers.AnswerAsync(agreed, _ => false, Answers.LongestTurn, TestContext.Current.CancellationToken);
        Assert.False(answers.Waiting);
        Assert.Equal(3, Ports().Distinct().Count());
        // What is taken is told by the feed from then on.
        await answers.AnswerAsync(agreed, _ => false, Answers.LongestTurn, TestContext.Current.CancellationToken);
        Assert.Equal(Ports()[0], Ports()[3]);
    }

    private Answers AnswersOf(LabNode node) => new(
        _heard.Client, new DescribedFiles(_hubs), ["gateway", "network"], new NodeSecrets(null, new SecretPlaces("/nonexistent"), inMemory: true), new Tunnels(node.Host, node.Keys, [node.Underlay], TimeProvider.System), null,
        new DomainProofs("example.org", null), new NodeVoice(_key, Here, Origin, TimeProvider.System), Boundless, TimeProvider.System, NullLogger.Instance);

    private List<int> Ports() => [.. _heard.Heard.Select(b => Assert.Single(Assert.IsType<WorkloadReady>(b).Ends.Tunnels).Port)];

    // Whose gateways would be given one port, if each were the only one.
    private static (AgreementId, AgreementId) OfOnePort(TunnelHost host)
    {
        var seen = new Dictionary<int, AgreementId>();
        for (var i = 0; ; i++)
        {
            var id = new AgreementId(Digest.Of([(byte)i, (byte)(i >> 8)]));
            var port = host.ChoosePort(new TunnelId(id, new Membership("back", "door")), new HashSet<int>());
            if (!seen.TryAdd(port, id))
                return (seen[port], id);
        }
    }

    // A gateway has a tunnel and no files.
    private static Agreement.Agreed Agreed(AgreementId id, string name)
    {
        var (farm, user) = (new FarmId(Digest.Of("farm"u8)), new AccountId(Digest.Of("user"u8)));
        var elsewhere = new NodeId(Digest.Of("elsewhere"u8));
        var terms = new AgreementTerms(1, null, user, [new FarmPart(farm, default, [.. new[] { Here, elsewhere }.OrderBy(n => n.Value)])],
            new Term(null, null, TimeSpan.FromHours(1), Epoch.AddMinutes(5), Epoch.AddMinutes(10), new Offline(TimeSpan.FromHours(1), Pause: false)),
            new MoneyTerms(new Currency("EUR", 9), Money.Zero, [new FarmRate(farm, Money.Zero)], TimeSpan.Zero),
            [
                new Network("back", IPNetwork.Parse("10.1.0.0/24"), Egress.None),
                new Gateway("door", Here, $"{name}.example.org", Tls.Terminate, DomainProof.Domain, new Backend("web", 8080), [new NetworkAddress("back", IPAddress.Parse("10.1.0.2"))]),
                new Container("web", elsewhere, default, "/bin/web", [], [], "/", new ContainerUser(0, 0), new MilliCores(100), Bytes.MiB(64), 64, [], [],
                    new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)), Bytes.MiB(1), [], [new NetworkAddress("back", IPAddress.Parse("10.1.0.3"))]),
            ], "");
        return new Agreement.Agreed(id, new Agreements.Version(new StatementId(id.Value), terms), []);
    }
}
