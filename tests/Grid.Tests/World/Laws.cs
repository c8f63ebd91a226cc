using System.Collections.Immutable;
using System.Net;
using FsCheck.Fluent;
using Grid.Agreements;
using Grid.Farms;
using Grid.Nodes;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Grid.World;

namespace Grid.Tests.World;

/// <summary>What holds after every statement of every history. A history is a list of numbers; each picks a command by its remainders.</summary>
public sealed class Laws
{
    // The diagram above Agreement, and what stands below it, as pairs.
    private static readonly HashSet<(string, string)> Table =
    [
        ("none", "proposed"), ("none", "agreed"), ("proposed", "agreed"), ("proposed", "lapsed"), ("proposed", "refused"), ("proposed", "withdrawn"),
        ("agreed", "ready"), ("agreed", "refused"), ("agreed", "lapsed"), ("agreed", "ended"),
        ("ready", "running"), ("ready", "ending"), ("ready", "ended"), ("running", "ready"), ("running", "ending"), ("running", "ended"), ("ending", "ended"),
    ];

    // An amendment's own way: it ends in force, or is dropped, or ends with its agreement.
    private static readonly HashSet<(string, string)> OfAmendments = [("none", "proposed"), ("none", "agreed"), ("proposed", "agreed"), ("proposed", "none"), ("agreed", "none")];

    [Fact]
    public void Every_history_keeps_every_law() =>
        Law.Holds(ArbMap.Default.ArbFor<int[]>(), Keeps, count: 150, size: 120);

    [Fact]
    public void Long_histories_go_every_way()
    {
        var (seen, amended, most) = (new HashSet<(string, string)>(), new HashSet<(string, string)>(), Capacity.None);
        for (var seed = 0; seed < 60 || (seed < 600 && !(seen.IsSupersetOf(Table) && amended.IsSupersetOf(OfAmendments))); seed++)
        {
            var random = new Random(seed);
            var history = new History();
            for (var i = 0; i < 200; i++)
                history.Step(random.Next());
            seen.UnionWith(history.Transitions);
            amended.UnionWith(history.Amendments);
            most = Capacity.Max(most, history.Most);
            history.Dispose();
        }
        Assert.Equal(Table.Order(), seen.Order());
        Assert.Equal(OfAmendments.Order(), amended.Order());
        // Of what a node has many want, somewhere it is all held. Processors and memory are scarce by reports of less.
        Assert.Equal((TestGrid.Large.Ssd, TestGrid.Large.Hdd, TestGrid.Large.PublicIPv4), (most.Ssd, most.Hdd, most.PublicIPv4));
    }

    private static void Keeps(int[] commands)
    {
        using var history = new History();
        foreach (var command in commands)
            history.Step(command);
        history.CheckProofs();
    }

    private sealed class History : IDisposable
    {
        private readonly TestGrid _grid = new();
        private readonly List<Statement> _sent = [];
        private readonly List<(StatementId Invite, string Key, TestFarm Farm)> _invites = [];
        private readonly List<TestNode> _joined = [];
        private int _made;

        public HashSet<(string From, string To)> Transitions { get; } = [];

        /// <summary>The same of what was on its way beside the version in force; another amendment begins anew.</summary>
        public HashSet<(string From, string To)> Amendments { get; } = [];

        /// <summary>What a node ever held, of each the most.</summary>
        public Capacity Most { get; private set; }

        private static string NameOf(Amendment? amendment) => amendment switch { null => "none", Amendment.Proposed => "proposed", _ => "agreed" };

        public void Dispose() => _grid.Dispose();

        public void Step(int command)
        {
            var choice = new Choice((uint)command);
            if (choice.Of(4) == 0)
                _grid.Now = _grid.Now.AddSeconds(choice.Of(400));
            foreach (var due in _grid.State.Due(_grid.Now).ToList())
                Send(_grid.Deadline(due));
            if (Make(choice) is { } statement)
                Send(statement);
            if (_sent.Count > 0)
                SendAgain(_sent[choice.Of(_sent.Count)]);
        }

        /// <summary>The entries that ProofOf names, folded alone, give the same agreement; so do those of them that are not only reports.</summary>
        public void CheckProofs()
        {
            foreach (var (id, agreement) in _grid.State.Agreements)
            {
                Alike.Same(agreement, Fold(id, receipts: true));
                Alike.Same(agreement, Fold(id, receipts: false));
            }
        }

        private Agreement Fold(AgreementId id, bool receipts)
        {
            var wanted = _grid.State.ProofOf(id).ToHashSet();
            var state = GridState.Empty;
            for (var index = 0; index < _grid.Entries.Count; index++)
            {
                var (time, statement, events) = _grid.Entries[index];
                if (!events.Any(e => e.Subjects.Any(wanted.Contains)) || (!receipts && Event.OnlyReport(events)))
                    continue;
                var decision = Assert.IsType<Decision.Accepted>(state.Decide(statement, time));
                // What was left out would have been told by what is left: nothing is decided otherwise.
                Assert.Equal(events.Select(e => e.Name), decision.Events.Select(e => e.Name));
                state = state.Evolve(index, time, statement.Id, decision.Events);
            }
            // What a node takes from a proof beside the agreement itself.
            foreach (var address in state.Agreements[id].Version.Terms.Addresses.Where(a => state.Agreements[id].HeldNames.Contains($"{a.Ip}")))
                Assert.Equal(Listed(_grid.State, address.Ip), Listed(state, address.Ip));
            return state.Agreements[id];
        }

        private static FarmAddress Listed(GridState state, IPAddress ip) => state.Farms[state.Addresses[ip]].Addresses.First(a => a.Address.Equals(ip));

        private void Send(Statement statement)
        {
            var before = _grid.State;
            var decision = _grid.Submit(statement);
            Check(before, decision);
            // Every command may be sent twice: the second time it is known by its first entry, or refused for the same reason.
            var state = _grid.State;
            var again = _grid.Submit(statement);
            Assert.Same(state, _grid.State);
            switch (decision)
            {
                case Decision.Accepted:
                    var first = _grid.Entries.FindIndex(e => e.Statement.Id == statement.Id);
                    Assert.Equal(first, Assert.IsType<Decision.Known>(again).Index);
                    break;
                case Decision.Refused refused:
                    Assert.Equal(refused.Refusal.Code, Assert.IsType<Decision.Refused>(again).Refusal.Code);
                    break;
                default:
                    Assert.Equal(decision, again);
                    break;
            }
            if (decision is Decision.Accepted)
                _sent.Add(statement);
        }

        /// <summary>Much later too, whatever became of keys, offers, nodes and agreements since: known by its first entry, and nothing changes.</summary>
        private void SendAgain(Statement statement)
        {
            var state = _grid.State;
            var again = _grid.Submit(statement);
            Assert.Same(state, _grid.State);
            Assert.True(again is Decision.Known(var index) && _grid.Entries[(int)index].Statement.Id == statement.Id, $"{statement.Payload.Body.Kind}: {again}");
        }

        private void Check(GridState before, Decision decision)
        {
            var state = _grid.State;
            foreach (var (id, agreement) in state.Agreements)
            {
                var was = before.Agreements.GetValueOrDefault(id);
                if (was?.Status != agreement.Status)
                {
                    Assert.Contains((was?.Status ?? "none", agreement.Status), Table);
                    Transitions.Add((was?.Status ?? "none", agreement.Status));
                }
                var (next, begun) = (agreement.Next, was?.Next);
                if (next?.Version.Id != begun?.Version.Id || NameOf(next) != NameOf(begun))
                {
                    var pair = (begun?.Version.Id == next?.Version.Id || next is null ? NameOf(begun) : "none", NameOf(next));
                    Assert.Contains(pair, OfAmendments);
                    Amendments.Add(pair);
                }
                if (was is { IsClosed: true })
                    Assert.Equal(was.Status, agreement.Status);
                if (agreement.Version.Terms.Version > 1 && was is not null && was.Version != agreement.Version)
                    Assert.Equal(was.Version.Id, agreement.Version.Terms.Amends!.Digest);
            }
            foreach (var node in state.Nodes.Values)
            {
                var held = state.Agreements.Values.Aggregate(Capacity.None, (sum, a) => sum + a.HeldOn(node.Id));
                Assert.Equal(held, node.Held);
                Most = Capacity.Max(Most, held);
            }
            CheckCapacity(before, decision);
            // A name, and a port of a node, is held by one agreement or by none, and the index says by which.
            Assert.Equal(
                state.Agreements.Values.SelectMany(a => a.HeldNames.Select(n => (n, a.Id.ToString()))).Order().ToList(),
                state.Names.Select(h => (h.Key, h.Value.ToString())).Order().ToList());
            Assert.Equal(
                state.Agreements.Values.SelectMany(a => a.HeldPorts.Select(p => ($"{p.Node}", p.Port, $"{a.Id}"))).Order().ToList(),
                state.Ports.Select(h => ($"{h.Key.Node}", h.Key.Port, $"{h.Value}")).Order().ToList());
            Assert.Equal(
                state.Farms.Values.SelectMany(f => f.Addresses.Select(a => ($"{a.Address}", f.Id.ToString()))).Order().ToList(),
                state.Addresses.Select(a => ($"{a.Key}", a.Value.ToString())).Order().ToList());
            foreach (var agreement in state.Agreements.Values)
                Assert.All(agreement.Version.Terms.Addresses.Where(a => agreement.HeldNames.Contains($"{a.Ip}")), a => Assert.Equal(state.Nodes[a.Node].Farm, state.Addresses[a.Ip]));
            Assert.Equal(
                state.Agreements.Values.Where(a => a.Due is not null).Select(a => new Deadline(a.Due!.Value, a.Id)).Order().ToList(),
                state.Deadlines.ToList());
        }

        /// <summary>
        /// No event makes a node hold more than it offers. A node that reports less than it has promised keeps its promises: what is agreed stays so, in
        /// no part of its capacity may more be agreed on it, and what is agreed asks for no more of such a part than was promised before.
        /// </summary>
        private void CheckCapacity(GridState before, Decision decision)
        {
            foreach (var node in _grid.State.Nodes.Values)
            {
                var was = before.Nodes.GetValueOrDefault(node.Id)?.Held ?? Capacity.None;
                Assert.True(node.Held.FitsIn(Capacity.Max(was, node.Offered)), $"oversold: {node.Held} of {node.Offered}, {was} before");
                if (node.Report != before.Nodes.GetValueOrDefault(node.Id)?.Report)
                    Assert.Equal(was, node.Held);
            }
            foreach (var happened in decision is Decision.Accepted accepted ? accepted.Events : [])
            {
                var agreed = happened switch
                {
                    AgreementEvent.Agreed e => _grid.State.Agreements[e.Agreement].Version,
                    AgreementEvent.AmendmentAgreed e => _grid.State.Agreements[e.Agreement].Next!.Version,
                    _ => null,
                };
                foreach (var node in agreed?.Terms.Nodes.Select(n => _grid.State.Nodes[n]) ?? [])
                    Assert.True(node.Held.FitsIn(Capacity.Max(node.Offered, before.Nodes[node.Id].Held)), $"oversold: {node.Held} of {node.Offered}");
            }
        }

        // Few, so that several want one.
        private static string Hostname(Choice choice) => $"{(char)('a' + choice.Of(3))}.example.org";

        // So large that a few of them fill a node, of either medium.
        private static Volume Disk(Choice choice, string name, NodeId node) => choice.Of(2) == 0
            ? new Volume(name, node, Bytes.GiB(20 * (1 + choice.Of(5))), Media.Ssd, TimeSpan.FromSeconds(choice.Of(2) * 600))
            : new Volume(name, node, Bytes.GiB(200 * (1 + choice.Of(5))), Media.Hdd, TimeSpan.Zero);

        private AgreementTerms Stored(AgreementTerms terms, Choice choice) => choice.Of(2) == 0 ? terms
            : _grid.Priced(terms with { Workloads = [.. terms.Workloads.Add(Disk(choice, "data", terms.Placed.First().Node)).OrderBy(w => w.Name, StringComparer.Ordinal)] });

        // Kept as it is, grown, or shrunk, which is refused.
        private static IEnumerable<Workload> Kept(AgreementTerms terms, Choice choice, NodeId node) =>
            terms.Workloads.OfType<Volume>().Where(v => v.Node == node && choice.Of(3) > 0).Select(v => v with { Size = choice.Of(3) switch { 0 => v.Size, 1 => v.Size + Bytes.GiB(20), _ => v.Size - Bytes.GiB(10) } });

        private static AgreementTerms Doored(AgreementTerms terms, Choice choice) => choice.Of(2) == 0 ? TestGrid.WithGateway(terms, Hostname(choice)) : terms;

        // As the account's keys are by now; TestFarm knows only how they were.
        private Statement Sign(AccountId account, Body body) => _grid.Sign(account.Value, body, _grid.KeysOf(account));

        private string[] KeysOf(IEnumerable<TestFarm> farms) => [.. farms.SelectMany(f => _grid.KeysOf(f.Account))];

        /// <summary>Accounts, farms, invites, nodes and offers come, change and go.</summary>
        private Statement? Found(Choice choice, TestFarm farm, TestNode node)
        {
            var made = $"{_made++}";
            switch (choice.Of(9))
            {
                case 0:
                    return _grid.Open(1 + choice.Of(2), $"one-{made}", $"two-{made}");
                case 1:
                    return choice.Of(2) == 0 ? _grid.Rekey(_grid.User, 2, $"user-{made}-a", $"user-{made}-b", "user-c") : _grid.Rekey(farm.Account, 1, $"{farm.Name}-{made}");
                case 2:
                    return Sign(farm.Account, new RegisterFarm($"farm-{choice.Of(9)}"));
                case 3:
                    var invite = Sign(farm.Account, new InviteNode(farm.Id, _grid.Key($"invite-{made}").Public, _grid.Now.AddSeconds(choice.Of(2000))));
                    _invites.Add((invite.Id, $"invite-{made}", farm));
                    return invite;
                case 4 or 5 when _invites.Count > 0:
                    var (id, key, inviting) = _invites[choice.Of(_invites.Count)];
                    var join = _grid.Sign(null, new JoinNode(inviting.Id, id, _grid.Key($"node-{made}").Public, TestGrid.Machine), $"node-{made}", key);
                    _joined.Add(new TestNode($"node-{made}", new NodeId(join.Id.Value)));
                    return join;
                case 6:
                    var reporter = _joined.Count > 0 && choice.Of(2) == 0 ? _joined[choice.Of(_joined.Count)] : node;
                    return _grid.Report(reporter, TestGrid.Large with { Cpu = new MilliCores(1000 + (choice.Of(8) * 1000)), Memory = Bytes.GiB(1 + choice.Of(16)), Ssd = Bytes.GiB(50 * choice.Of(3)), Hdd = Bytes.GiB(500 * choice.Of(3)) });
                case 7:
                    return _grid.Post(farm.Account, farm.Id, farm.Prices);
                default:
                    var open = _grid.State.Offers.Values.OrderBy(o => o.Id.Value).ElementAt(choice.Of(_grid.State.Offers.Count));
                    return Sign(_grid.State.Farms[open.Terms.Farm].Account, new WithdrawOffer(open.Id));
            }
        }

        // Under any of the farm's offers, withdrawn ones too.
        private AgreementTerms Offered(AgreementTerms terms, Choice choice) => terms with
        {
            Farms = [.. terms.Farms.Select(f => _grid.State.Offers.Values.Where(o => o.Terms.Farm == f.Farm).OrderBy(o => o.Id.Value).ToList() is var offers ? f with { Offer = offers[choice.Of(offers.Count)].Id } : f)],
        };

        private Statement? Make(Choice choice)
        {
            var nodes = _grid.Farms.SelectMany(f => f.Nodes).ToList();
            var agreement = _grid.State.Agreements.Count == 0 ? null : _grid.State.Agreements.Values.OrderBy(a => a.Id.Value).ElementAt(choice.Of(_grid.State.Agreements.Count));
            var node = nodes[choice.Of(nodes.Count)];
            var farm = _grid.Farms[choice.Of(2)];
            string[] farms = choice.Of(4) switch { 0 => [], 1 => ["alpha"], 2 => ["beta"], _ => ["alpha", "beta"] };
            switch (choice.Of(18))
            {
                case 0 or 1:
                    var fresh = _grid.Terms([.. nodes.Where((_, i) => choice.Of(2) == 0 || i == 0).Select(n => n.Id)]) with { Note = $"{_made++}" };
                    if (choice.Of(2) == 0)
                        fresh = TestGrid.WithGateway(fresh, Hostname(choice));
                    if (choice.Of(2) == 0)
                        fresh = _grid.Priced(TestGrid.WithAddress(fresh, TestGrid.PublicIp((byte)(2 + choice.Of(3)))));
                    fresh = Stored(fresh, choice);
                    return _grid.SignedByUser(Offered(fresh, choice), KeysOf(_grid.Farms.Where(f => farms.Contains(f.Name) && fresh.Farms.Any(p => p.Farm == f.Id))));
                case 2 or 3 when agreement is not null:
                    var open = agreement.Next is Amendment.Proposed p ? p.Version : agreement.Version;
                    var original = _sent.LastOrDefault(s => s.Id == open.Id);
                    var part = open.Terms.Farms[choice.Of(open.Terms.Farms.Length)].Farm;
                    return original?.Merge(Statement.Sign(original.PayloadBytes.ToArray(), [.. KeysOf(_grid.Farms.Where(f => f.Id == part)).Select(_grid.Key)]));
                case 4 or 5 or 6 when agreement is not null:
                    return _grid.Ready(_grid.NodeOf((agreement.Next?.Version ?? agreement.Version).Terms.Nodes.First()), agreement);
                case 7 when agreement is not null:
                    return choice.Of(3) == 0 ? _grid.Refuse(node, agreement) : _grid.Ready(node, agreement, free: choice.Of(2) == 0);
                case 8 or 9 when agreement is not null:
                    return _grid.Receipt(choice.Of(2) == 0 ? node : _grid.NodeOf(agreement.Version.Terms.Nodes.Last()), agreement, choice.Of(5) == 0 ? WorkloadState.Failed : WorkloadState.Running);
                case 10 when agreement is not null:
                    // By the user alone, now and then: its farm signs later, or never.
                    var (whole, cpu) = (choice.Of(3) > 0, 500 + (choice.Of(8) * 500));
                    return _grid.SignedByUser(_grid.Amend(agreement, t => Doored(t with { Note = $"{_made++}", Workloads = [.. Kept(t, choice, node.Id), TestGrid.Container("web-0", node.Id, cpu)] }, choice)), whole ? KeysOf([_grid.Farms[node.Name == "east" ? 1 : 0]]) : []);
                case 11 when agreement is not null:
                    return Sign(_grid.User, new CancelAgreement(agreement.Id, choice.Of(2) == 0 ? null : _grid.Now.AddSeconds(choice.Of(900)), choice.Of(3) == 0 ? agreement.Next?.Version.Id : null));
                case 12 when agreement is not null:
                    return Sign(farm.Account, new CancelAgreement(agreement.Id, choice.Of(3) == 0 ? null : _grid.Now.AddSeconds(choice.Of(9000))));
                case 14:
                    var listed = Enumerable.Range(2, 3).Where(_ => choice.Of(2) == 0).Select(h => TestGrid.Listed((byte)h)).ToImmutableArray();
                    return Sign(farm.Account, new ListAddresses(farm.Id, listed));
                case 13 when choice.Of(12) == 0:
                    return Sign(farm.Account, new RetireNode(farm.Nodes[0].Id, Breach: choice.Of(2) == 0));
                case 15 when choice.Of(4) == 0:
                    var lifted = choice.Of(2) == 0;
                    return choice.Of(2) == 0
                        ? Sign(farm.Account, new DrainNode(farm.Nodes[0].Id, !lifted, lifted ? "" : "service"))
                        : _grid.Sign(node.Id.Value, new DrainNode(node.Id, !lifted, lifted ? "" : "its disk errs"), node.Name);
                case 16 or 17:
                    return Found(choice, farm, node);
                default:
                    return null;
            }
        }
    }

    /// <summary>Draws small numbers out of one: the same number gives the same draws.</summary>
    private sealed class Choice(uint seed)
    {
        private uint _state = (seed * 2654435761) ^ 0x9e3779b9;

        public int Of(int count)
        {
            _state ^= _state << 13;
            _state ^= _state >> 17;
            _state ^= _state << 5;
            return (int)(_state % (uint)count);
        }
    }
}
