using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using Grid.Accounts;
using Grid.Agreements;
using Grid.Farms;
using Grid.Log;
using Grid.Nodes;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;

namespace Grid.World;

/// <summary>
/// Everything that is true at one index of one ledger: a fold of its entries, and nothing else. Immutable, so a batch is decided on a copy
/// that is published only once it is durable.
/// </summary>
/// <remarks>
/// The same fold over fewer entries proves one agreement: every rule here only ever forbids more as more is known (names and ports taken,
/// capacity held, offers withdrawn), so entries that the whole log accepted are accepted again among those that <see cref="ProofOf"/> names.
/// </remarks>
public sealed record GridState
{
    /// <summary>How far ahead of the ledger's clock a signer's may be.</summary>
    public static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(5);

    public static readonly GridState Empty = new();

    private GridState()
    {
    }

    /// <summary>Null before the first entry.</summary>
    public string? Origin { get; init; }

    public PublicKey LedgerKey { get; init; }

    /// <summary>The time of the newest entry.</summary>
    public DateTimeOffset Time { get; init; }

    /// <summary>The index of the entry that first carried a statement.</summary>
    public VersionedMap<StatementId, long> Known { get; init; } = VersionedMap<StatementId, long>.Empty;

    public ImmutableDictionary<AccountId, Account> Accounts { get; init; } = ImmutableDictionary<AccountId, Account>.Empty;

    public ImmutableDictionary<FarmId, Farm> Farms { get; init; } = ImmutableDictionary<FarmId, Farm>.Empty;

    public ImmutableDictionary<string, FarmId> FarmNames { get; init; } = ImmutableDictionary.Create<string, FarmId>(StringComparer.Ordinal);

    /// <summary>Which farm lists a public address: for each just what <see cref="Farm.Addresses"/> says.</summary>
    public ImmutableDictionary<IPAddress, FarmId> Addresses { get; init; } = ImmutableDictionary<IPAddress, FarmId>.Empty;

    public ImmutableDictionary<StatementId, Invite> Invites { get; init; } = ImmutableDictionary<StatementId, Invite>.Empty;

    public ImmutableDictionary<NodeId, Node> Nodes { get; init; } = ImmutableDictionary<NodeId, Node>.Empty;

    public ImmutableDictionary<OfferId, Offer> Offers { get; init; } = ImmutableDictionary<OfferId, Offer>.Empty;

    public ImmutableDictionary<AgreementId, Agreement> Agreements { get; init; } = ImmutableDictionary<AgreementId, Agreement>.Empty;

    /// <summary>Which agreement holds a gateway's name or a public address: for each just what <see cref="Agreement.HeldNames"/> says.</summary>
    public ImmutableDictionary<string, AgreementId> Names { get; init; } = ImmutableDictionary.Create<string, AgreementId>(StringComparer.Ordinal);

    /// <summary>Which agreement holds a port of a node: for each just what <see cref="Agreement.HeldPorts"/> says.</summary>
    public ImmutableDictionary<NodePort, AgreementId> Ports { get; init; } = ImmutableDictionary<NodePort, AgreementId>.Empty;

    /// <summary>What agreements wait for, soonest first.</summary>
    public ImmutableSortedSet<Deadline> Deadlines { get; init; } = ImmutableSortedSet<Deadline>.Empty;

    /// <summary>Decides one statement whose signatures verify. Pure, and harmless to repeat.</summary>
    /// <param name="now">the time its entry would carry; never before <see cref="Time"/></param>
    public Decision Decide(Statement statement, DateTimeOffset now)
    {
        var payload = statement.Payload;
        if (payload.Body is not AgreementTerms && Known.TryGetValue(statement.Id, out var index))
            return new Decision.Known(index);
        if (payload.Body is OpenLedger open)
            return Ledger.Decide(this, statement, open);
        if (Origin is null)
            return Decision.Refuse(RefusalCode.WrongState, "The ledger has no first entry yet.");
        if (payload.Ledger != Origin)
            return Decision.Refuse(RefusalCode.WrongLedger, $"It is meant for the ledger '{payload.Ledger}'; this is '{Origin}'.", "Sign it for this ledger.");
        if (now > payload.Until && !Known.ContainsKey(statement.Id))
            return Decision.Refuse(RefusalCode.Expired, $"It could be accepted until {payload.Until.Text()}; it is {now.Text()}.", "Sign it again.");
        if (payload.Issued > now.Later(ClockSkew))
            return Decision.Refuse(RefusalCode.NotYetValid, $"It says it was written at {payload.Issued.Text()}; it is {now.Text()}.", "Set the signer's clock.");

        return payload.Body switch
        {
            OpenAccount b => Account.Decide(this, statement, b),
            RekeyAccount b => Account.Decide(this, statement, b),
            RegisterFarm b => Farm.Decide(this, statement, b),
            ListAddresses b => ListAddresses.Decide(this, statement, b),
            InviteNode b => Invite.Decide(this, statement, b, now),
            JoinNode b => Node.Decide(this, statement, b, now),
            ReportNode b => Node.Decide(this, statement, b),
            RetireNode b => Node.Decide(this, statement, b, now),
            DrainNode b => Node.Decide(this, statement, b),
            PostOffer b => Offer.Decide(this, statement, b, now),
            WithdrawOffer b => Offer.Decide(this, statement, b),
            AgreementTerms b => Agreement.Decide(this, statement, b, now),
            WorkloadReady b => Agreement.Decide(this, statement, b),
            WorkloadRefused b => Agreement.Decide(this, statement, b),
            Receipt b => Agreement.Decide(this, statement, b, now),
            CancelAgreement b => Agreement.Decide(this, statement, b, now),
            DeadlinePassed b => Agreement.Decide(this, statement, b, now),
            _ => throw new UnreachableException($"No rule for {payload.Body.Kind}."),
        };
    }

    /// <summary>The state after one more entry.</summary>
    public GridState Evolve(long index, DateTimeOffset time, StatementId statement, ImmutableArray<Event> events)
    {
        var next = this with { Time = time, Known = Known.ContainsKey(statement) ? Known : Known.SetItem(statement, index) };
        for (var i = 0; i < events.Length; i++)
        {
            if (events[i] is not AgreementEvent { Agreement: var id } first)
            {
                next = next.Apply(events[i]);
                continue;
            }
            // What follows from an agreement's state is found once for all that the entry did to it.
            var before = next.Agreements.GetValueOrDefault(id);
            var after = Agreement.Evolve(before, first, time);
            for (; i + 1 < events.Length && events[i + 1] is AgreementEvent more && more.Agreement == id; i++)
                after = Agreement.Evolve(after, more, time);
            next = next.With(before, after);
        }
        return next;
    }

    /// <summary>The facts the ledger itself owes at this time, soonest first.</summary>
    public IEnumerable<DeadlinePassed> Due(DateTimeOffset now) =>
        Deadlines.TakeWhile(d => d.At <= now).Select(d => new DeadlinePassed(d.Agreement, d.At));

    /// <summary>
    /// The digests of all things whose entries together prove this agreement: the ledger, its parties' accounts and farms, its nodes with their
    /// invites, its offers, itself.
    /// </summary>
    public IEnumerable<Digest> ProofOf(AgreementId id)
    {
        var agreement = Agreements[id];
        var found = new HashSet<Digest> { default, id.Value, agreement.User.Value };
        foreach (var part in agreement.EveryPart)
        {
            found.Add(part.Offer.Value);
            found.Add(part.Farm.Value);
            found.Add(Farms[part.Farm].Account.Value);
            // An offer for certain nodes was accepted because they existed.
            foreach (var node in part.Nodes.Concat(Offers[part.Offer].Terms.Nodes))
            {
                found.Add(node.Value);
                found.Add(Nodes[node].Invite.Value);
            }
        }
        return found;
    }

    /// <summary>Null when the signers satisfy the account's policy as it stands now and nobody else signed.</summary>
    internal Refusal? SpeaksFor(AccountId id, Statement statement)
    {
        if (!Accounts.TryGetValue(id, out var account))
            return new Refusal(RefusalCode.NotFound, $"The account {id} is not in this ledger.", "Open it first.");
        return Stranger(statement, account.Policy.Keys.Contains) ?? (account.Policy.IsSatisfiedBy(statement.Signers)
            ? null
            : new Refusal(RefusalCode.SignatureMissing,
                $"{account.Policy.Threshold} of the {account.Policy.Keys.Length} keys of {id} must sign; {statement.Signers.Count(account.Policy.Keys.Contains)} did.", "Sign the same bytes with more of its keys."));
    }

    /// <summary>The farm, when the statement speaks for its account.</summary>
    internal Refusal? SpeaksForFarm(FarmId id, Statement statement, out Farm farm)
    {
        if (!Farms.TryGetValue(id, out farm!))
            return new Refusal(RefusalCode.NotFound, $"The farm {id} is not in this ledger.");
        return statement.Payload.By == farm.Account.Value
            ? SpeaksFor(farm.Account, statement)
            : new Refusal(RefusalCode.NotAParty, $"The farm {id} belongs to {farm.Account}, which must speak here.");
    }

    /// <summary>The node that speaks, when its key and nothing else signed.</summary>
    internal Refusal? NodeSpeaks(Statement statement, out Node node)
    {
        node = null!;
        if (statement.Payload.By is not { } by || !Nodes.TryGetValue(new NodeId(by), out node!))
            return new Refusal(RefusalCode.NotFound, "It must be spoken by a node of this ledger.");
        var key = node.Key;
        return node.Retired
            ? new Refusal(RefusalCode.NodeRetired, $"The node {node.Id} is retired.")
            : Stranger(statement, k => k == key);
    }

    internal static Refusal? Stranger(Statement statement, Func<PublicKey, bool> known) =>
        statement.Signers.FirstOrDefault(k => !known(k)) is { } stranger && stranger != default
            ? new Refusal(RefusalCode.StrangerSigned, $"The key {stranger} has no say in this.", "Remove its signature.")
            : null;

    private GridState Apply(Event happened) => happened switch
    {
        LedgerOpened e => this with { Origin = e.Origin, LedgerKey = e.Key },
        AccountEvent e => this with { Accounts = Accounts.SetItem(e.Account, Account.Evolve(Accounts.GetValueOrDefault(e.Account), e)) },
        FarmEvent.Registered e => this with
        {
            Farms = Farms.Add(e.Farm, new Farm(e.Farm, e.Account, e.FarmName)),
            FarmNames = FarmNames.Add(e.FarmName, e.Farm),
        },
        FarmEvent.AddressesListed e => this with
        {
            Farms = Farms.SetItem(e.Farm, Farms[e.Farm] with { Addresses = e.Addresses }),
            Addresses = Addresses.RemoveRange(Farms[e.Farm].Addresses.Select(a => a.Address)).SetItems(e.Addresses.Select(a => KeyValuePair.Create(a.Address, e.Farm))),
        },
        FarmEvent.NodeInvited e => this with { Invites = Invites.Add(e.Invite, new Invite(e.Invite, e.Farm, e.Key, e.Expires, null)) },
        FarmEvent.OfferPosted e => this with { Offers = Offers.Add(e.Offer, new Offer(e.Offer, e.Terms, Withdrawn: false)) },
        FarmEvent.OfferWithdrawn e => this with { Offers = Offers.SetItem(e.Offer, Offers[e.Offer] with { Withdrawn = true }) },
        NodeEvent.Joined e => this with
        {
            Nodes = Nodes.Add(e.Node, new Node(e.Node, e.Farm, e.Key, e.Invite, e.Hardware)),
            Invites = Invites.SetItem(e.Invite, Invites[e.Invite] with { UsedBy = e.Node }),
        },
        NodeEvent e => this with { Nodes = Nodes.SetItem(e.Node, Node.Evolve(Nodes[e.Node], e)) },
        _ => throw new UnreachableException($"No state for {happened.Name}."),
    };

    // Four things follow from an agreement's state alone and are kept beside it: what it holds of each node, which names, which ports, and what it waits for.
    private GridState With(Agreement? before, Agreement after)
    {
        // As with nearly every receipt.
        if (ReferenceEquals(before, after))
            return this;
        var nodes = Nodes;
        foreach (var id in (before?.HeldNodes ?? []).Union(after.HeldNodes))
        {
            if (nodes.TryGetValue(id, out var node))
                nodes = nodes.SetItem(id, node with { Held = node.Held - (before?.HeldOn(id) ?? Capacity.None) + after.HeldOn(id) });
        }
        var names = Names.RemoveRange(before?.HeldNames ?? []).SetItems(after.HeldNames.Select(n => KeyValuePair.Create(n, after.Id)));
        // Most of what follows changes no port.
        var had = before?.HeldPorts ?? [];
        var ports = had.SequenceEqual(after.HeldPorts) ? Ports : Ports.RemoveRange(had).SetItems(after.HeldPorts.Select(p => KeyValuePair.Create(p, after.Id)));
        var deadlines = Deadlines;
        if (before?.Due is { } old)
            deadlines = deadlines.Remove(new Deadline(old, after.Id));
        if (after.Due is { } due)
            deadlines = deadlines.Add(new Deadline(due, after.Id));
        return this with { Agreements = Agreements.SetItem(after.Id, after), Nodes = nodes, Names = names, Ports = ports, Deadlines = deadlines };
    }
}

/// <summary>Ordered by time, then by agreement.</summary>
public readonly record struct Deadline(DateTimeOffset At, AgreementId Agreement) : IComparable<Deadline>
{
    public int CompareTo(Deadline other) => At != other.At ? At.CompareTo(other.At) : Agreement.Value.CompareTo(other.Agreement.Value);

    public static bool operator <(Deadline left, Deadline right) => left.CompareTo(right) < 0;

    public static bool operator >(Deadline left, Deadline right) => left.CompareTo(right) > 0;

    public static bool operator <=(Deadline left, Deadline right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Deadline left, Deadline right) => left.CompareTo(right) >= 0;
}
