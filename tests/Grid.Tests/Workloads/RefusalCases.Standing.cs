using Grid.Addresses;
using Grid.Agreements;
using Grid.Farms;
using Grid.Gateways;
using Grid.Machines;
using Grid.Nodes;
using Grid.Offers;
using Grid.Statements;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Workloads;

public sealed partial class RefusalCases
{
    private const string OfOthers = "a node hears of its own agreements only, and the one that holds it has no part on this node";
    private const string FoundByTheTool = "the tool finds this for its author, who cannot say it";

    /// <summary>What is recorded before each case of the rules "standing", and the time at which they are said.</summary>
    internal static RecordedCases Recorded() => new();

    private void Standing()
    {
        using var before = Recorded();
        var (grid, web) = (before.Grid, before.Web);
        void Case(string name, string code, string describes, AgreementTerms terms, params ReadOnlySpan<(string Whom, string Why)> unasked)
        {
            Assert.Empty(AgreementRules.Check(terms));
            var said = grid.SignedByUser(terms, [.. grid.Farms.Where(f => terms.Farms.Any(p => p.Farm == f.Id)).Select(f => f.Name)]);
            _cases.Add(new RefusalCase($"standing-{name}", "standing", code, describes, Statement: said.Bytes.ToArray()) { Unasked = [.. unasked] });
        }
        AgreementTerms Under(AgreementTerms terms, OfferId offer) => terms with { Farms = [terms.Farms[0] with { Offer = offer }] };
        AgreementTerms At(NodeId node) => web with { Farms = [web.Farms[0] with { Nodes = [node] }], Workloads = [.. web.Workloads.OfType<Container>().Select(c => c with { Node = node })] };
        AgreementTerms With(params Workload[] more) => grid.Priced(web with { Workloads = [.. more.Concat(web.Workloads).OrderBy(w => w.Name, StringComparer.Ordinal)] });
        AgreementTerms Sized(Func<Container, Container> change) => grid.Priced(web with { Workloads = [change((Container)web.Workloads[0])] });
        PublicAddress Public(string name, byte host, string workload) => new(name, before.North, TestGrid.PublicIp(host), [new Port(Transport.Tcp, 8080)], workload);
        Volume Disk(int gib, Media media) => new("data", before.North, Bytes.GiB(gib), media, TimeSpan.Zero);

        Case("term-in-past", RefusalCode.TermInPast, "terms that everybody was to answer a minute ago", web with { Term = web.Term with { AnswerBy = grid.Now.AddMinutes(-1) } });

        Case("name-held", RefusalCode.NameTaken, "a gateway of a name that another agreement holds on the same node", grid.Priced(TestGrid.WithGateway(web, RecordedCases.Shop)));
        Case("name-held-elsewhere", RefusalCode.NameTaken, "a gateway of a name that another agreement holds on another farm's node", grid.Priced(TestGrid.WithGateway(grid.Terms(before.East), RecordedCases.Shop)), ("node", OfOthers));
        Case("name-unproven", RefusalCode.DomainNotProven, "a gateway of a name under another node's domain", grid.Priced(TestGrid.WithGateway(web, "shop.south.example", DomainProof.Domain)));
        Case("name-unwritten", RefusalCode.DomainNotProven, "a gateway whose TXT record nobody wrote", grid.Priced(TestGrid.WithGateway(web, "free.example.org")),
            ("draft", "only nodes ask name servers"), ("ledger", "only nodes ask name servers"));

        Case("address-held", RefusalCode.AddressConflict, "a public address that another agreement holds on the same node", grid.Priced(TestGrid.WithAddress(web, TestGrid.PublicIp(7))));
        Case("address-held-elsewhere", RefusalCode.AddressConflict, "a public address that another agreement holds on another node of the farm",
            grid.Priced(TestGrid.WithAddress(grid.Terms(before.South), TestGrid.PublicIp(7))), ("node", OfOthers));
        Case("address-of-another-farm", RefusalCode.AddressNotOwned, "a public address that another farm lists", grid.Priced(TestGrid.WithAddress(web, TestGrid.PublicIp(9))));
        Case("address-of-nobody", RefusalCode.AddressNotOwned, "a public address that no farm lists", grid.Priced(TestGrid.WithAddress(web, TestGrid.PublicIp(10))));

        Case("capacity-cpu", RefusalCode.Capacity, "more processor than others leave of the node", Sized(c => c with { Cpu = new MilliCores(6001) }));
        Case("capacity-memory", RefusalCode.Capacity, "more memory than others leave of the node", Sized(c => c with { Memory = Bytes.GiB(14) + new Bytes(1) }));
        Case("capacity-ssd", RefusalCode.Capacity, "a volume larger than others leave of the node's ssd", With(Disk(41, Media.Ssd)));
        Case("capacity-hdd", RefusalCode.Capacity, "a volume larger than others leave of the node's hdd", With(Disk(401, Media.Hdd)));
        Case("capacity-ipv4", RefusalCode.Capacity, "more public addresses than others leave of the node", With(
            TestGrid.Container("app", before.North), Public("for-app", 8, "app"), Public("for-web", 11, web.Workloads[0].Name)));
        Case("capacity-amendment", RefusalCode.Capacity, "an amendment that grows a volume beyond the node's ssd",
            grid.Amend(before.Running, t => t with { Workloads = [.. t.Workloads.Select(w => w is Volume { Media: Media.Ssd } v ? v with { Size = Bytes.GiB(101) } : w)] }));

        Case("node-drains", RefusalCode.NodeDrains, "a node to which its farmer lets nothing new come", At(before.Drained));
        Case("node-drains-itself", RefusalCode.NodeDrains, "a node that lets nothing new come", At(before.Ailing));
        Case("node-retired", RefusalCode.UnresolvedNode, "a node that is retired", At(before.Retired), ("node", "a retired node answers nothing"));
        Case("node-silent", RefusalCode.UnresolvedNode, "a node that has not reported what it has", At(before.Silent));
        Case("node-of-nobody", RefusalCode.UnresolvedNode, "a node that never joined", At(new NodeId(Of("nobody's node"))), ("node", "there is none"));
        Case("node-of-another-farm", RefusalCode.UnresolvedNode, "a node that another farm brings", At(before.East), ("draft", FoundByTheTool));

        Case("offer-expired", RefusalCode.OfferExpired, "an offer that has expired", Under(web, before.Expired));
        Case("offer-withdrawn", RefusalCode.OfferExpired, "an offer that is withdrawn", Under(web, before.Withdrawn));
        Case("offer-of-nobody", RefusalCode.NotFound, "an offer that nobody made", Under(web, new OfferId(Of("nobody's offer"))));
        Case("offer-of-another-farm", RefusalCode.OfferMismatch, "an offer that another farm made", Under(web, grid.Farms[1].Offer));
        Case("offer-for-another-node", RefusalCode.OfferMismatch, "an offer for another node", Under(web, before.ForSouth));
        Case("offer-notice", RefusalCode.OfferMismatch, "less notice than the offer asks for", web with { Term = web.Term with { Notice = TimeSpan.FromMinutes(29) } });
        Case("offer-ceiling", RefusalCode.OfferMismatch, "more than the offer allows", Under(web, before.Small));
        Case("offer-currency", RefusalCode.PriceMismatch, "another currency than the offer's", web with { Money = web.Money with { Currency = new Currency("USD", 9) } }, ("draft", FoundByTheTool));
        Case("offer-price", RefusalCode.PriceMismatch, "less money than the offer asks for", web with
        {
            Money = web.Money with { RatePerSecond = new Money(1), Parts = [web.Money.Parts[0] with { Rate = new Money(1) }] },
        }, ("draft", FoundByTheTool));
        var machine = Vm() with { Node = before.North };
        Case("kind-of-no-offer", RefusalCode.UnsupportedKind, "a machine, under an offer without machines", With(machine));
        Case("kind-of-no-node", RefusalCode.UnsupportedKind, "a machine on a node that can run none", Under(With(machine), before.WithMachines));
    }
}

/// <summary>A small grid with an agreement that runs: what is held, listed, offered and drained when the cases of the rules "standing" are said.</summary>
internal sealed class RecordedCases : IDisposable
{
    /// <summary>The name that <see cref="Running"/> holds, beside the address 203.0.113.7, a core, 1 GiB, 60 GiB of ssd and 600 GiB of hdd, all on <see cref="North"/>.</summary>
    public const string Shop = "shop.example.org";

    public RecordedCases()
    {
        var (alpha, beta) = (Grid.Farms[0], Grid.Farms[1]);
        (North, South, East) = (alpha.Nodes[0].Id, alpha.Nodes[1].Id, beta.Nodes[0].Id);
        List(alpha, 7, 8, 11);
        List(beta, 9);
        (Drained, Ailing, Retired, Silent) = (Join("west"), Join("ailing"), Join("retired"), Join("silent", reports: false));
        Grid.Accept(Say(alpha, new DrainNode(Drained, true, "its fans are loud")));
        Grid.Accept(Grid.Sign(Ailing.Value, new DrainNode(Ailing, true, "a disk errs"), "ailing"));
        Grid.Accept(Say(alpha, new RetireNode(Retired, Breach: false)));
        var open = Grid.State.Offers[alpha.Offer].Terms;
        Expired = Post(open with { Expires = Grid.Now.AddHours(1) });
        ForSouth = Post(open with { Nodes = [South] });
        Small = Post(open with { Ceiling = open.Ceiling with { Cpu = new MilliCores(999) } });
        WithMachines = Post(open with { Kinds = open.Kinds.Insert(open.Kinds.Length - 1, Machine.KindName) });
        Withdrawn = Post(open with { Notice = TimeSpan.FromMinutes(20) });
        Grid.Accept(Say(alpha, new WithdrawOffer(Withdrawn)));
        var full = TestGrid.WithAddress(TestGrid.WithGateway(Grid.Terms(North), Shop), TestGrid.PublicIp(7));
        Running = Grid.Run(Grid.Priced(full with
        {
            Workloads = [.. full.Workloads.Concat([Disk("fast", 60, Media.Ssd), Disk("slow", 600, Media.Hdd)]).OrderBy(w => w.Name, StringComparer.Ordinal)],
        }));
        Grid.Now += TimeSpan.FromHours(2);
        Web = Grid.Terms(North);
    }

    public TestGrid Grid { get; } = new();

    public NodeId North { get; }

    public NodeId South { get; }

    public NodeId East { get; }

    public NodeId Drained { get; }

    public NodeId Ailing { get; }

    public NodeId Retired { get; }

    public NodeId Silent { get; }

    public OfferId Expired { get; }

    public OfferId ForSouth { get; }

    public OfferId Small { get; }

    public OfferId WithMachines { get; }

    public OfferId Withdrawn { get; }

    public Agreement Running { get; }

    /// <summary>Terms against which nothing stands: one container.</summary>
    public AgreementTerms Web { get; }

    public void Dispose() => Grid.Dispose();

    private NodeId Join(string name, bool reports = true)
    {
        var alpha = Grid.Farms[0];
        return Grid.Join(alpha.Name, alpha.Account, alpha.Id, name, reports).Id;
    }

    private OfferId Post(PostOffer offer) => new(Grid.Accept(Say(Grid.Farms[0], offer)));

    private void List(TestFarm farm, params byte[] hosts) => Grid.Accept(Say(farm, new ListAddresses(farm.Id, [.. hosts.Select(TestGrid.Listed)])));

    private Statement Say(TestFarm farm, Body body) => Grid.Sign(farm.Account.Value, body, farm.Name);

    private Volume Disk(string name, int gib, Media media) => new(name, North, Bytes.GiB(gib), media, TimeSpan.Zero);
}
