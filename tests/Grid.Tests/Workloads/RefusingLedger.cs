using System.Collections.Immutable;
using Grid.Accounts;
using Grid.Agreements;
using Grid.Farms;
using Grid.Nodes;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Tests.Workloads;

/// <summary>
/// A ledger that knows as much of a vector's parties as it needs to come to what is wrong. Its state is made up: the ids in the vectors are those of
/// no statements.
/// </summary>
internal sealed class RefusingLedger : IDisposable
{
    private static readonly Hardware Cpu = new("cpu", "x86_64", "6.18");
    private static readonly Capacity Plenty = new(new MilliCores(1 << 30), Bytes.GiB(1 << 20), Bytes.GiB(1 << 20), Bytes.GiB(1 << 20), 1 << 20);

    private readonly SigningKey _own = SigningKey.FromSeed(new byte[32]), _farmers = SigningKey.FromSeed([.. Enumerable.Repeat((byte)1, 32)]);

    /// <param name="before">what is amended and in force, or what the answer is to</param>
    /// <param name="earlier">what the node answered before, to an agreement that is in force</param>
    /// <param name="domain">under which the node gives names to gateways</param>
    /// <returns>the code with which the ledger decides against it</returns>
    public string Decide(Payload payload, AgreementTerms? before, WorkloadReady? earlier, string? domain)
    {
        var terms = payload.Body as AgreementTerms ?? before!;
        var farmer = new AccountId(Digest.Of("farmer"u8));
        var state = GridState.Empty with
        {
            Origin = payload.Ledger,
            Accounts = ImmutableDictionary<AccountId, Account>.Empty.Add(farmer, Account(farmer, _farmers)).Add(terms.User, Account(terms.User, _own)),
            Farms = terms.Farms.ToImmutableDictionary(f => f.Farm, f => new Farm(f.Farm, farmer, "farm")),
            Nodes = terms.Nodes.Distinct().ToImmutableDictionary(n => n, n => new Node(n, terms.Farms[0].Farm, _own.Public, default, Cpu) { Report = new ReportNode(Plenty, Capacity.None, [.. terms.KindsOn(n)], Cpu) { Domain = domain } }),
            // An offer that the terms meet: what is wrong with them is something else.
            Offers = terms.Farms.DistinctBy(f => f.Offer).ToImmutableDictionary(f => f.Offer, f => new Offer(f.Offer, new PostOffer(
                f.Farm, [], [.. f.Nodes.SelectMany(terms.KindsOn)], new Prices(1, 0, 0, 0, 0), terms.Money.Currency, Plenty, TimeSpan.Zero, DateTimeOffset.MaxValue), Withdrawn: false)),
        };
        Agreement? agreement = (payload.Body, before) switch
        {
            (AgreementTerms { Amends: { } amends }, { } was) => new Agreement.Running(amends.Agreement, new Agreements.Version(amends.Digest, was), payload.Issued, null, []),
            (WorkloadReady ready, { } asked) => new Agreement.Agreed(ready.Agreement, new Agreements.Version(ready.Version, asked), []),
            _ => null,
        };
        if (agreement is not null)
            state = state with { Agreements = state.Agreements.Add(agreement.Id, agreement) };
        if (earlier is not null)
            state = state.Evolve(0, payload.Issued, default, Running(earlier, terms));
        return Assert.IsType<Decision.Refused>(state.Decide(Statement.Sign(payload, _own), payload.Issued)).Refusal.Code;
    }

    private static ImmutableArray<Event> Running(WorkloadReady answer, AgreementTerms terms) =>
    [
        new AgreementEvent.Proposed(answer.Agreement, new Agreements.Version(answer.Version, terms)), new AgreementEvent.Agreed(answer.Agreement),
        .. terms.Nodes.Select(n => new AgreementEvent.NodeReady(answer.Agreement, n, answer.Ends)), new AgreementEvent.BecameReady(answer.Agreement),
    ];

    public void Dispose()
    {
        _own.Dispose();
        _farmers.Dispose();
    }

    private static Account Account(AccountId id, SigningKey key) => new(id, new KeyPolicy([key.Public], 1));
}
