using Grid.Agreements;
using Grid.Nodes;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Grid.World;

namespace Grid.Tests.World;

public sealed class AgreementDecisions : IDisposable
{
    private readonly TestGrid _grid = new();

    private TestNode North => _grid.Farms[0].Nodes[0];

    private TestNode East => _grid.Farms[1].Nodes[0];

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void One_signature_proposes_and_every_farms_agrees()
    {
        var proposed = _grid.SignedByUser(_grid.Terms(North.Id, East.Id));
        var id = new AgreementId(_grid.Accept(proposed));
        Assert.IsType<Agreement.Proposed>(_grid.State.Agreements[id]);

        _grid.Accept(proposed.Merge(Statements.Statement.Sign(proposed.PayloadBytes.ToArray(), _grid.Key("alpha"))));
        Assert.IsType<Agreement.Proposed>(_grid.State.Agreements[id]);
        Assert.Equal(Capacity.None, _grid.State.Nodes[North.Id].Held);

        _grid.Accept(proposed.Merge(Statements.Statement.Sign(proposed.PayloadBytes.ToArray(), _grid.Key("beta"))));
        Assert.IsType<Agreement.Agreed>(_grid.State.Agreements[id]);
        Assert.Equal(1000, _grid.State.Nodes[North.Id].Held.Cpu.Value);
    }

    [Fact]
    public void Nothing_is_ready_until_every_node_is()
    {
        var id = new AgreementId(_grid.Accept(_grid.SignedByUser(_grid.Terms(North.Id, East.Id), "alpha", "beta")));
        _grid.Accept(_grid.Ready(North, _grid.State.Agreements[id]));
        Assert.IsType<Agreement.Agreed>(_grid.State.Agreements[id]);
        Assert.Equal(RefusalCode.WrongState, _grid.Refused(_grid.Receipt(North, _grid.State.Agreements[id])));
        _grid.Accept(_grid.Ready(East, _grid.State.Agreements[id]));
        Assert.IsType<Agreement.Ready>(_grid.State.Agreements[id]);
    }

    [Fact]
    public void One_refusal_ends_it_everywhere_and_frees_what_was_held()
    {
        var id = new AgreementId(_grid.Accept(_grid.SignedByUser(_grid.Terms(North.Id, East.Id), "alpha", "beta")));
        _grid.Accept(_grid.Ready(North, _grid.State.Agreements[id]));
        _grid.Accept(_grid.Refuse(East, _grid.State.Agreements[id], "flist-incomplete"));
        var refused = Assert.IsType<Agreement.Refused>(_grid.State.Agreements[id]);
        Assert.Equal(("flist-incomplete", East.Id.Value), (refused.Code, refused.By));
        Assert.Equal(Capacity.None, _grid.State.Nodes[North.Id].Held);
    }

    [Fact]
    public void Receipts_of_every_node_make_it_running() =>
        Assert.IsType<Agreement.Running>(_grid.Run(_grid.Terms(North.Id, East.Id)));

    [Theory]
    [InlineData("user-a")]
    [InlineData("user-a", "alpha", "beta")]
    [InlineData("alpha", "beta")]
    public void Without_enough_of_the_users_keys_it_is_refused(params string[] keys) =>
        Assert.Equal(RefusalCode.SignatureMissing, _grid.Refused(_grid.Sign(_grid.User.Value, _grid.Terms(North.Id, East.Id), keys)));

    [Fact]
    public void A_strangers_signature_is_refused() =>
        Assert.Equal(RefusalCode.StrangerSigned, _grid.Refused(_grid.SignedByUser(_grid.Terms(North.Id), "mallory")));

    [Fact]
    public void A_farm_of_another_agreement_is_a_stranger() =>
        Assert.Equal(RefusalCode.StrangerSigned, _grid.Refused(_grid.SignedByUser(_grid.Terms(North.Id), "beta")));

    [Fact]
    public void A_key_that_was_replaced_counts_no_more()
    {
        _grid.Accept(_grid.Rekey(_grid.User, 2, "user-c", "user-d"));
        Assert.Equal(RefusalCode.SignatureMissing, _grid.Refused(_grid.Sign(_grid.User.Value, _grid.Terms(North.Id), "user-a", "user-b")));
        _grid.Accept(_grid.Sign(_grid.User.Value, _grid.Terms(North.Id), "user-c", "user-d"));
    }

    [Fact]
    public void What_was_recorded_is_known_whatever_keys_its_parties_have_now()
    {
        var running = _grid.SignedByUser(_grid.Terms(North.Id), "alpha");
        _grid.Accept(running);
        var proposed = _grid.SignedByUser(_grid.Terms(North.Id, East.Id));
        _grid.Accept(proposed);
        var half = proposed.Merge(Statements.Statement.Sign(proposed.PayloadBytes.ToArray(), _grid.Key("alpha")));
        _grid.Accept(half);
        _grid.Accept(_grid.Rekey(_grid.User, 2, "user-c", "user-d"));
        _grid.Accept(_grid.Rekey(_grid.Farms[0].Account, 1, "alpha-2"));
        foreach (var (recorded, index) in new[] { (running, 0), (proposed, 1), (half, 1) })
            Assert.Equal(new Decision.Known(_grid.Entries.Count - 5 + index), _grid.Submit(recorded));

        // A signature that is new counts only with the keys that its agreement's user has now.
        var beta = Statements.Statement.Sign(proposed.PayloadBytes.ToArray(), _grid.Key("beta"));
        Assert.Equal(RefusalCode.SignatureMissing, _grid.Refused(half.Merge(beta)));
        Assert.Equal(RefusalCode.SignatureMissing, _grid.Refused(beta));
    }

    [Fact]
    public void Who_signs_with_a_key_that_was_given_up_or_never_was_is_not_told_that_it_is_recorded()
    {
        var proposed = _grid.SignedByUser(_grid.Terms(North.Id, East.Id), "alpha");
        _grid.Accept(proposed);
        _grid.Accept(_grid.Rekey(_grid.Farms[0].Account, 1, "alpha-2"));
        _grid.Accept(_grid.Rekey(_grid.Farms[1].Account, 1, "beta-2"));
        Statements.Statement With(string key) => proposed.Merge(Statements.Statement.Sign(proposed.PayloadBytes.ToArray(), _grid.Key(key)));
        Assert.IsType<Decision.Known>(_grid.Submit(proposed));
        Assert.Equal(RefusalCode.StrangerSigned, _grid.Refused(With("beta")));
        Assert.Equal(RefusalCode.StrangerSigned, _grid.Refused(With("mallory")));
        Assert.Equal(RefusalCode.StrangerSigned, _grid.Refused(With("beta-2")));
        // Signed by itself, without what was recorded with alpha's old key.
        var anew = Statements.Statement.Sign(proposed.PayloadBytes.ToArray(), [.. _grid.KeysOf(_grid.User).Append("beta-2").Select(_grid.Key)]);
        _grid.Accept(anew);
        Assert.IsType<Decision.Known>(_grid.Submit(With("beta")));
    }

    [Fact]
    public void Of_two_amendments_one_wins_and_the_other_is_told_which()
    {
        var running = _grid.Run(_grid.Terms(North.Id));
        var first = _grid.SignedByUser(_grid.Amend(running, t => t with { Note = "first" }));
        var second = _grid.SignedByUser(_grid.Amend(running, t => t with { Note = "second" }));
        _grid.Accept(first);
        var refusal = Assert.IsType<Decision.Refused>(_grid.Submit(second)).Refusal;
        Assert.Equal(RefusalCode.Conflict, refusal.Code);
        Assert.Contains(first.Id.ToString(), refusal.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void An_amendment_takes_force_when_every_node_is_ready_and_not_before()
    {
        var running = _grid.Run(_grid.Terms(North.Id, East.Id));
        var amendment = _grid.SignedByUser(_grid.Amend(running, t => t with { Workloads = t.Workloads.SetItem(0, TestGrid.Container("web-0", North.Id, 3000)) }), "alpha", "beta");
        _grid.Accept(amendment);
        Assert.Equal(3000, _grid.State.Nodes[North.Id].Held.Cpu.Value);
        _grid.Accept(_grid.Ready(North, _grid.State.Agreements[running.Id]));
        Assert.Equal(running.Version, _grid.State.Agreements[running.Id].Version);
        _grid.Accept(_grid.Ready(East, _grid.State.Agreements[running.Id]));
        Assert.Equal(amendment.Id, _grid.State.Agreements[running.Id].Version.Id);
    }

    [Fact]
    public void A_refused_amendment_changes_nothing()
    {
        var running = _grid.Run(_grid.Terms(North.Id));
        _grid.Accept(_grid.SignedByUser(_grid.Amend(running, t => t with { Note = "new" }), "alpha"));
        _grid.Accept(_grid.Refuse(North, _grid.State.Agreements[running.Id]));
        var after = Assert.IsType<Agreement.Running>(_grid.State.Agreements[running.Id]);
        Assert.Equal((running.Version, null), (after.Version, after.Amendment));
    }

    [Fact]
    public void A_volume_cannot_shrink()
    {
        var terms = _grid.Terms(North.Id);
        var running = _grid.Run(_grid.Priced(terms with { Workloads = terms.Workloads.Insert(0, new Volume("data", North.Id, Bytes.GiB(4), Media.Ssd, TimeSpan.Zero)) }));
        Assert.Equal(RefusalCode.VolumeShrink, _grid.Refused(_grid.SignedByUser(_grid.Amend(running, t => t with
        {
            Workloads = t.Workloads.SetItem(0, new Volume("data", North.Id, Bytes.GiB(3), Media.Ssd, TimeSpan.Zero)),
        }))));
    }

    [Fact]
    public void Capacity_cannot_be_sold_twice()
    {
        var big = _grid.Terms(North.Id);
        big = _grid.Priced(big with { Workloads = [TestGrid.Container("web-0", North.Id, 5000)] });
        var other = _grid.SignedByUser(big with { Note = "other" });
        _grid.Accept(other);
        _grid.Accept(_grid.SignedByUser(big, "alpha"));
        // It fitted when it was proposed; when it would be agreed it fits no more.
        Assert.Equal(RefusalCode.Capacity, _grid.Refused(other.Merge(Statements.Statement.Sign(other.PayloadBytes.ToArray(), _grid.Key("alpha")))));
    }

    [Fact]
    public void A_node_that_reports_less_than_it_promised_keeps_its_promises_and_makes_none()
    {
        var terms = _grid.Terms(North.Id);
        var running = _grid.Run(_grid.Priced(terms with { Workloads = [TestGrid.Container("web-0", North.Id, 5000)] }));
        Statement Change(long cpu) => _grid.SignedByUser(_grid.Amend(running, t => t with { Workloads = [TestGrid.Container("web-0", North.Id, cpu)] }), "alpha");
        _grid.Accept(_grid.Report(North, TestGrid.Large with { Cpu = new MilliCores(3000) }));
        Assert.True(_grid.State.Agreements[running.Id].IsInForce);
        Assert.Equal((5000, 2000), (_grid.State.Nodes[North.Id].Held.Cpu.Value, _grid.State.Nodes[North.Id].Offered.Cpu.Value));
        Assert.Equal(RefusalCode.Capacity, _grid.Refused(_grid.SignedByUser(terms with { Note = "fresh" })));
        Assert.Equal(RefusalCode.Capacity, _grid.Refused(Change(5001)));
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(5000)]
    public void A_node_that_reports_less_than_it_promised_takes_an_amendment_that_asks_for_no_more(long cpu)
    {
        var terms = _grid.Terms(North.Id);
        var running = _grid.Run(_grid.Priced(terms with { Workloads = [TestGrid.Container("web-0", North.Id, 5000)] }));
        _grid.Accept(_grid.Report(North, TestGrid.Large with { Cpu = new MilliCores(3000) }));
        var less = _grid.Amend(running, t => t with { Workloads = [TestGrid.Container("web-0", North.Id, cpu)] });
        // More of what the node has is nothing that it promised too often.
        var other = _grid.Amend(running, t => t with { Workloads = [TestGrid.Container("web-0", North.Id, cpu) with { Memory = Bytes.GiB(2) }] });
        var too = _grid.Amend(running, t => t with { Workloads = [TestGrid.Container("web-0", North.Id, cpu) with { Memory = Bytes.GiB(16) }] });
        Assert.Equal(RefusalCode.Capacity, _grid.Refused(_grid.SignedByUser(too, "alpha")));
        var amendment = _grid.SignedByUser(cpu == 1000 ? less : other);
        _grid.Accept(amendment);
        _grid.Accept(amendment.Merge(Statements.Statement.Sign(amendment.PayloadBytes.ToArray(), _grid.Key("alpha"))));
        // Until the nodes have answered, what it has counts as well.
        Assert.Equal(5000, _grid.State.Nodes[North.Id].Held.Cpu.Value);
        _grid.Accept(_grid.Ready(North, _grid.State.Agreements[running.Id]));
        Assert.Equal(cpu, _grid.State.Nodes[North.Id].Held.Cpu.Value);
        Assert.Null(_grid.Bundle(running.Id).Verify(TestGrid.Origin, _grid.Key("ledger").Public, out _));
    }

    [Fact]
    public void A_price_that_the_offer_does_not_give_is_refused()
    {
        var terms = _grid.Terms(North.Id);
        var cheap = terms with { Money = terms.Money with { RatePerSecond = new Money(1), Parts = [terms.Money.Parts[0] with { Rate = new Money(1) }] } };
        Assert.Equal(RefusalCode.PriceMismatch, _grid.Refused(_grid.SignedByUser(cheap)));
    }

    [Fact]
    public void The_farmer_who_ends_without_notice_is_in_breach()
    {
        var farm = _grid.Farms[0];
        var first = _grid.Run(_grid.Terms(North.Id));
        _grid.Accept(_grid.Sign(farm.Account.Value, new CancelAgreement(first.Id), farm.Name));
        Assert.Equal(new EndReason.FarmerBreach(farm.Id), Assert.IsType<Agreement.Ended>(_grid.State.Agreements[first.Id]).Reason);

        var second = _grid.Run(_grid.Terms(North.Id) with { Note = "second" });
        _grid.Accept(_grid.Sign(farm.Account.Value, new CancelAgreement(second.Id, _grid.Now.AddHours(2)), farm.Name));
        Assert.Equal(new EndReason.FarmerNotice(farm.Id), Assert.IsType<Agreement.Ending>(_grid.State.Agreements[second.Id]).Reason);
    }

    [Fact]
    public void A_node_cannot_be_retired_under_an_agreement_but_as_a_breach()
    {
        var farm = _grid.Farms[0];
        var running = _grid.Run(_grid.Terms(North.Id));
        Assert.Equal(RefusalCode.AgreementsRunning, _grid.Refused(_grid.Sign(farm.Account.Value, new RetireNode(North.Id, Breach: false), farm.Name)));
        _grid.Accept(_grid.Sign(farm.Account.Value, new RetireNode(North.Id, Breach: true), farm.Name));
        Assert.Equal(new EndReason.FarmerBreach(farm.Id), Assert.IsType<Agreement.Ended>(_grid.State.Agreements[running.Id]).Reason);
    }

    [Fact]
    public void A_node_that_drains_takes_nothing_new_and_keeps_what_it_has_until_both_who_said_so_take_it_back()
    {
        var farm = _grid.Farms[0];
        var running = _grid.Run(_grid.Terms(North.Id));
        Statement Say(bool byNode, string reason) => byNode
            ? _grid.Sign(North.Id.Value, new DrainNode(North.Id, reason.Length > 0, reason), North.Name)
            : _grid.Sign(farm.Account.Value, new DrainNode(North.Id, reason.Length > 0, reason), farm.Name);
        string Fresh() => _grid.Refused(_grid.SignedByUser(_grid.Terms(North.Id) with { Note = "fresh" }, farm.Name));
        _grid.Accept(Say(byNode: true, "its disk errs"));
        Assert.Equal(RefusalCode.AlreadySo, _grid.Refused(Say(byNode: true, "its disk errs")));
        Assert.Equal(RefusalCode.NodeDrains, Fresh());
        _grid.Accept(Say(byNode: false, "service"));
        _grid.Accept(Say(byNode: true, ""));
        Assert.Equal(RefusalCode.NodeDrains, Fresh());

        // What is there may change and stays in force; what was elsewhere cannot come.
        _grid.Accept(_grid.SignedByUser(_grid.Amend(running, t => t with { Note = "changed" }), farm.Name));
        Assert.True(_grid.State.Agreements[running.Id].IsInForce);
        var east = _grid.Farms[1].Nodes[0].Id;
        var wider = _grid.Amend(_grid.Run(_grid.Terms(east)), t => t with { Workloads = [TestGrid.Container("web-0", east), TestGrid.Container("web-1", North.Id)] });
        Assert.Equal(RefusalCode.NodeDrains, _grid.Refused(_grid.SignedByUser(wider, farm.Name, "beta")));
        Assert.Equal(RefusalCode.NotAParty, _grid.Refused(_grid.Sign(_grid.Farms[1].Account.Value, new DrainNode(North.Id, Drains: false, ""), "beta")));

        _grid.Accept(Say(byNode: false, ""));
        _grid.Accept(_grid.SignedByUser(_grid.Terms(North.Id) with { Note = "fresh" }, farm.Name));
    }

    [Fact]
    public void Silence_past_the_deadline_lets_it_lapse_by_the_ledgers_word_alone()
    {
        var id = new AgreementId(_grid.Accept(_grid.SignedByUser(_grid.Terms(North.Id))));
        Assert.Empty(_grid.State.Due(_grid.Now));
        _grid.Now = _grid.Now.AddMinutes(5);
        var due = Assert.Single(_grid.State.Due(_grid.Now));
        Assert.Equal(RefusalCode.NotAParty, _grid.Refused(_grid.Sign(null, due, "user-a")));
        _grid.Accept(_grid.Deadline(due));
        Assert.IsType<Agreement.Lapsed>(_grid.State.Agreements[id]);
        Assert.Empty(_grid.State.Due(_grid.Now.AddYears(1)));
    }

    [Fact]
    public void What_never_ran_whole_by_its_time_ends_as_not_converged()
    {
        var id = new AgreementId(_grid.Accept(_grid.SignedByUser(_grid.Terms(North.Id), "alpha")));
        _grid.Accept(_grid.Ready(North, _grid.State.Agreements[id]));
        _grid.Now = _grid.Now.AddMinutes(10);
        _grid.Accept(_grid.Deadline(Assert.Single(_grid.State.Due(_grid.Now))));
        Assert.Equal(new EndReason.NotConverged(), Assert.IsType<Agreement.Ended>(_grid.State.Agreements[id]).Reason);
    }

    [Fact]
    public void A_withdrawn_offer_stops_new_agreements_and_no_running_one()
    {
        var farm = _grid.Farms[0];
        var running = _grid.Run(_grid.Terms(North.Id));
        _grid.Accept(_grid.Sign(farm.Account.Value, new Offers.WithdrawOffer(farm.Offer), farm.Name));
        Assert.Equal(RefusalCode.OfferExpired, _grid.Refused(_grid.SignedByUser(_grid.Terms(North.Id) with { Note = "late" })));
        _grid.Accept(_grid.SignedByUser(_grid.Amend(running, t => t with { Note = "still" }), "alpha"));
    }

    [Fact]
    public void It_is_refused_on_another_ledger_and_after_its_time()
    {
        var statement = _grid.SignedByUser(_grid.Terms(North.Id));
        var elsewhere = Statements.Statement.Sign(statement.Payload with { Ledger = "grid.test/other" }, _grid.Key("user-a"), _grid.Key("user-b"));
        Assert.Equal(RefusalCode.WrongLedger, _grid.Refused(elsewhere));
        var old = Statements.Statement.Sign(statement.Payload with { Until = _grid.Now.AddSeconds(1) }, _grid.Key("user-a"), _grid.Key("user-b"));
        _grid.Now = _grid.Now.AddSeconds(2);
        Assert.Equal(RefusalCode.Expired, _grid.Refused(old));
    }
}
