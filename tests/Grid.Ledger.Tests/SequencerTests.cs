using Grid.Agreements;
using Grid.Ledger.Sequencing;
using Grid.Ledger.Store;
using Grid.Log;
using Grid.Statements;
using Grid.Tests.World;
using Grid.Units;
using Grid.World;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Ledger.Tests;

public sealed class SequencerTests(PostgresFixture postgres)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_accepted_statement_is_answered_with_a_proof_and_indexes_are_dense()
    {
        await using var rig = await Start();
        var index = 1L;
        foreach (var (_, statement, events) in rig.Grid.Entries.Skip(1))
        {
            var recording = await rig.AcceptAsync(statement);
            Assert.Equal(index++, recording.Index);
            Assert.Equal(events.Select(e => e.Name), recording.Events);
            rig.Verify(recording, statement);
        }
        Assert.Equal(rig.Grid.Entries.Count, rig.Sequencer.Current.Size);
    }

    [Fact]
    public async Task Replay_gives_the_same_state_tree_and_histories()
    {
        await using var rig = await Start();
        var agreement = rig.Grid.Run(rig.Grid.Terms(rig.Grid.Farms[0].Nodes[0].Id, rig.Grid.Farms[1].Nodes[0].Id));
        for (var i = 0; i < 3; i++)
            rig.Grid.Accept(rig.Grid.Receipt(rig.Grid.Farms[0].Nodes[0], agreement));
        rig.Grid.Accept(rig.Grid.Sign(rig.Grid.User.Value, new CancelAgreement(agreement.Id), "user-a", "user-b"));
        rig.Grid.Accept(rig.Grid.Receipt(rig.Grid.Farms[0].Nodes[0], agreement, WorkloadState.Gone));
        await rig.SendAllAsync();
        var before = rig.Sequencer.Current;
        await rig.RestartAsync();
        var after = rig.Sequencer.Current;
        Assert.Equal((before.Size, before.Tree.Root, before.Checkpoint), (after.Size, after.Tree.Root, after.Checkpoint));
        Assert.Equal("ended", after.State.Agreements[agreement.Id].Status);
        Assert.Equal(before.State.Known.OrderBy(k => k.Value), after.State.Known.OrderBy(k => k.Value));
        Assert.Equal(before.State.Nodes.Values.Select(n => (n.Id, n.Held)), after.State.Nodes.Values.Select(n => (n.Id, n.Held)));
        Assert.Equal(before.State.Deadlines, after.State.Deadlines);
        foreach (var (subject, history) in before.Histories.BySubject)
        {
            Assert.Equal(history.Indexes, after.Histories.Of(subject)?.Indexes);
            Assert.Equal(history.Changes, history.Indexes.Where(i => !Event.OnlyReport(rig.Grid.Entries[(int)i].Events)));
        }
        foreach (var (node, history) in before.Histories.OnNode)
        {
            Assert.Equal(history.Since(-1), after.Histories.OnNode[node].Since(-1));
            Assert.Equal([(agreement.Id, before.Histories.ChangedAt(agreement.Id))], history.Since(-1));
            Assert.Empty(history.Since(before.Histories.ChangedAt(agreement.Id)));
        }
        Assert.Equal(2, before.Histories.OnNode.Count);
        foreach (var (_, statement, _) in rig.Grid.Entries.Skip(1))
            rig.Verify((await rig.Sequencer.FindAsync(statement.Id, Stop))!, statement);
    }

    [Fact]
    public async Task The_same_statement_sent_by_many_at_once_is_one_entry_and_one_answer()
    {
        await using var rig = await Start();
        var statement = rig.Grid.Entries[1].Statement;
        var answers = await Task.WhenAll(Enumerable.Range(0, 64).Select(_ => Task.Run(() => rig.Sequencer.SubmitAsync(statement.Bytes, Stop))));
        var recorded = answers.Select(a => Assert.IsType<Answer.Recorded>(a)).ToList();
        Assert.Single(recorded, r => !r.Known);
        Assert.All(recorded, r => Assert.Equal(1, r.Recording.Index));
        Assert.Single(recorded.Select(r => Convert.ToHexString(r.Recording.Entry.Span)).Distinct());
        Assert.Equal(2, rig.Sequencer.Current.Size);
        var again = Assert.IsType<Answer.Recorded>(await rig.Sequencer.SubmitAsync(statement.Bytes, Stop));
        Assert.True(again.Known);
        rig.Verify(again.Recording, statement);
    }

    [Fact]
    public async Task A_clock_that_goes_back_does_not_take_the_log_with_it()
    {
        await using var rig = await Start();
        var first = await rig.AcceptAsync(rig.Grid.Entries[1].Statement);
        rig.Clock.Set(TestGrid.Epoch.AddMinutes(-4));
        var second = await rig.AcceptAsync(rig.Grid.Entries[2].Statement);
        Assert.Equal(first.Time, second.Time);
        await rig.RestartAsync();
        Assert.Equal(3, rig.Sequencer.Current.Size);
    }

    [Fact]
    public async Task Refusals_are_answered_with_their_code_and_leave_no_trace()
    {
        await using var rig = await Start();
        await rig.SendAllAsync();
        var size = rig.Sequencer.Current.Size;
        var good = rig.Grid.SignedByUser(rig.Grid.Terms(rig.Grid.Farms[0].Nodes[0].Id), "alpha");
        var forged = good.Bytes.ToArray();
        forged[^1] ^= 1;
        Assert.Equal(RefusalCode.BadSignature, await RefusalOf(rig, forged));
        Assert.Equal(RefusalCode.Malformed, await RefusalOf(rig, new byte[] { 1, 2, 3 }));
        Assert.Equal(RefusalCode.TooLarge, await RefusalOf(rig, new byte[Statement.MaximumSize + 1]));
        Assert.Equal(RefusalCode.SignatureMissing, await RefusalOf(rig, rig.Grid.Sign(rig.Grid.User.Value, rig.Grid.Terms(rig.Grid.Farms[0].Nodes[0].Id), "user-a").Bytes));
        Assert.Equal(size, rig.Sequencer.Current.Size);
        Assert.Equal(size, (await rig.Store.HeadAsync(Stop)).Size);
        Assert.Equal(1, rig.Sequencer.Measurements.Refusals[RefusalCode.BadSignature]);
    }

    [Fact]
    public async Task What_admission_refuses_is_not_decided()
    {
        await using var rig = await Rig.StartAsync(await postgres.NewDatabaseAsync(), Rig.Options with
        {
            Admission = (statement, _) => ValueTask.FromResult(
                statement.Payload.Body is AgreementTerms ? new Refusal(RefusalCode.FlistIncomplete, "A chunk is missing.") : null),
        });
        await rig.SendAllAsync();
        Assert.Equal(RefusalCode.FlistIncomplete, await RefusalOf(rig, rig.Grid.SignedByUser(rig.Grid.Terms(rig.Grid.Farms[0].Nodes[0].Id)).Bytes));
    }

    [Fact]
    public async Task What_is_recorded_needs_no_evidence_any_more()
    {
        await using var rig = await Start();
        await rig.SendAllAsync();
        var farms = rig.Grid.Farms;
        var proposed = rig.Grid.SignedByUser(rig.Grid.Terms(farms[0].Nodes[0].Id, farms[1].Nodes[0].Id), farms[0].Name);
        await rig.AcceptAsync(proposed);
        // As after a restart while the hub is away.
        await rig.RestartAsync(Rig.Options with { Admission = (_, _) => ValueTask.FromResult<Refusal?>(new Refusal(RefusalCode.FlistIncomplete, "A chunk is missing.")) });
        Assert.True(Assert.IsType<Answer.Recorded>(await rig.Sequencer.SubmitAsync(proposed.Bytes, Stop)).Known);
        var whole = proposed.Merge(Statement.Sign(proposed.PayloadBytes.ToArray(), rig.Grid.Key(farms[1].Name)));
        Assert.Contains("agreement.agreed", (await rig.AcceptAsync(whole)).Events);
        Assert.Equal(RefusalCode.FlistIncomplete, await RefusalOf(rig, rig.Grid.SignedByUser(rig.Grid.Terms(farms[0].Nodes[0].Id)).Bytes));
    }

    [Fact]
    public async Task The_ledger_itself_says_that_a_deadline_passed()
    {
        await using var rig = await Start();
        await rig.SendAllAsync();
        var proposed = await rig.AcceptAsync(rig.Grid.SignedByUser(rig.Grid.Terms(rig.Grid.Farms[0].Nodes[0].Id)));
        var id = new AgreementId(proposed.Id.Value);
        var before = rig.Sequencer.Current;
        Assert.Equal("proposed", before.State.Agreements[id].Status);
        rig.Clock.Set(TestGrid.Epoch.AddMinutes(5));
        var after = await before.Next.WaitAsync(Stop);
        Assert.Equal("lapsed", after.State.Agreements[id].Status);
        var entry = Entry.Decode(await rig.Sequencer.Entries.EntryAsync(after.Size - 1, Stop));
        var statement = Statement.Decode(entry.StatementBytes);
        Assert.IsType<DeadlinePassed>(statement.Payload.Body);
        Assert.Equal([rig.Sequencer.Key], statement.Signers);
        await rig.RestartAsync();
        Assert.Equal(after.Tree.Root, rig.Sequencer.Current.Tree.Root);
    }

    [Fact]
    public async Task A_deadline_that_passed_while_the_ledger_was_away_is_said_at_its_start()
    {
        await using var rig = await Start();
        await rig.SendAllAsync();
        var proposed = await rig.AcceptAsync(rig.Grid.SignedByUser(rig.Grid.Terms(rig.Grid.Farms[0].Nodes[0].Id)));
        await rig.Sequencer.DisposeAsync();
        rig.Clock.Set(TestGrid.Epoch.AddHours(1));
        await rig.RestartAsync();
        await Until.True(() => rig.Sequencer.Current.State.Agreements[new AgreementId(proposed.Id.Value)].Status == "lapsed", Stop);
    }

    [Fact]
    public async Task A_second_sequencer_does_not_start_beside_the_first()
    {
        await using var rig = await Start();
        await using var store = await LedgerStore.OpenAsync(rig.ConnectionString, Stop);
        await Assert.ThrowsAsync<WriterReplacedException>(() => Sequencer.StartAsync(
            store, Rig.Options with { TakeOver = TimeSpan.Zero }, rig.Grid.Key("ledger"), rig.Clock, NullLogger<Sequencer>.Instance, Stop));
        await rig.AcceptAsync(rig.Grid.Entries[1].Statement);
    }

    [Fact]
    public async Task A_sequencer_that_was_shut_out_records_nothing_and_ends()
    {
        await using var rig = await Start();
        await rig.AcceptAsync(rig.Grid.Entries[1].Statement);
        // As after a partition: the lock is believed held by two.
        await using var other = await rig.Store.BecomeWriterWithoutLockAsync(Stop);
        var answer = await rig.Sequencer.SubmitAsync(rig.Grid.Entries[2].Statement.Bytes, Stop);
        Assert.IsType<Answer.Unknown>(answer);
        await Assert.ThrowsAsync<WriterReplacedException>(() => rig.Sequencer.Completion);
        Assert.Equal((2L, other.Head.Epoch), ((await rig.Store.HeadAsync(Stop)).Size, (await rig.Store.HeadAsync(Stop)).Epoch));
        Assert.False(rig.Sequencer.IsReady);
    }

    [Fact]
    public async Task A_full_queue_says_so_and_loses_nothing()
    {
        await using var rig = await Rig.StartAsync(await postgres.NewDatabaseAsync(), Rig.Options with { QueueLimit = 1 });
        var statements = Enumerable.Range(0, 200).Select(i => rig.Grid.Open(1, $"many-{i}")).ToList();
        var answers = await Task.WhenAll(statements.Select(s => Task.Run(() => rig.Sequencer.SubmitAsync(s.Bytes, Stop))));
        Assert.All(answers, a => Assert.True(a is Answer.Recorded or Answer.Busy, a.ToString()));
        Assert.Equal(1 + answers.Count(a => a is Answer.Recorded), rig.Sequencer.Current.Size);
        foreach (var statement in statements)
            await Until.True(async () => await rig.Sequencer.SubmitAsync(statement.Bytes, Stop) is Answer.Recorded, Stop);
        Assert.Equal(201, rig.Sequencer.Current.Size);
    }

    [Fact]
    public async Task Another_key_or_another_origin_does_not_open_the_log()
    {
        await using var rig = await Start();
        await rig.Sequencer.DisposeAsync();
        await Assert.ThrowsAsync<LogDamagedException>(() => Sequencer.StartAsync(
            rig.Store, Rig.Options, rig.Grid.Key("mallory"), rig.Clock, NullLogger<Sequencer>.Instance, Stop));
        await Assert.ThrowsAsync<LogDamagedException>(() => Sequencer.StartAsync(
            rig.Store, new SequencerOptions("grid.test/other"), rig.Grid.Key("ledger"), rig.Clock, NullLogger<Sequencer>.Instance, Stop));
    }

    private async Task<Rig> Start() => await Rig.StartAsync(await postgres.NewDatabaseAsync());

    private static async Task<string> RefusalOf(Rig rig, ReadOnlyMemory<byte> bytes) =>
        Assert.IsType<Answer.Refused>(await rig.Sequencer.SubmitAsync(bytes, Stop)).Refusal.Code;
}
