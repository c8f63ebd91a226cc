using Grid.Agreements;
using Grid.Ledger.Sequencing;
using Grid.Ledger.Store;
using Grid.Units;
using Grid.World;
using Npgsql;

namespace Grid.Ledger.Tests;

public sealed class StoreTests(PostgresFixture postgres)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public void Every_event_of_the_model_has_a_stored_name()
    {
        var missing = typeof(Event).Assembly.GetTypes().Where(t => t.IsSubclassOf(typeof(Event)) && !t.IsAbstract && t != typeof(AgreementEvent.Receipted))
            .Where(t => !RecordedEvents.IsMapped(t, NameOf(t))).Select(t => t.FullName);
        Assert.Empty(missing);
    }

    [Fact]
    public async Task Each_stream_holds_its_events_and_the_exact_bytes_of_their_entries()
    {
        await using var rig = await Start();
        var agreement = rig.Grid.Run(rig.Grid.Terms(rig.Grid.Farms[0].Nodes[0].Id));
        await rig.SendAllAsync();
        await using var session = rig.Store.Events.QuerySession();
        var expected = rig.Grid.Entries.SelectMany((e, i) => e.Events.Select(x => (Index: (long)i, Event: x)))
            .Where(x => !x.Event.IsHighRate).ToLookup(x => x.Event.Stream.ToString());
        Assert.Contains($"agreement/{agreement.Id.Value}", expected.Select(g => g.Key));
        foreach (var stream in expected)
        {
            var stored = await session.Events.FetchStreamAsync(stream.Key, token: Stop);
            Assert.Equal(stream.Select(x => x.Event.Name), stored.Select(s => s.EventTypeName));
            Assert.Equal(stream.Select(x => x.Index), stored.Select(s => ((IRecorded)s.Data).Index));
            foreach (var group in stored.Select(s => (IRecorded)s.Data).GroupBy(r => r.Index))
            {
                var entry = await rig.Sequencer.Entries.EntryAsync(group.Key, Stop);
                Assert.Equal(entry.ToArray(), group.First().Entry.ToArray());
                Assert.All(group.Skip(1), r => Assert.True(r.Entry.IsEmpty));
            }
        }
    }

    [Fact]
    public async Task Streams_are_written_as_Marten_writes_them()
    {
        const string Rows = """
            select jsonb_agg(e order by n)::text || (select jsonb_agg(s order by s.id)::text from (select id, type, version, tenant_id, compacted_version, is_archived from events.mt_streams) s)
            from (select row_number() over (order by seq_id) as n, stream_id, version, data, bdata, type, tenant_id, mt_dotnet_type, is_archived from events.mt_events) e
            """;
        await using var ours = await Start();
        ours.Grid.Run(ours.Grid.Terms(ours.Grid.Farms[0].Nodes[0].Id, ours.Grid.Farms[1].Nodes[0].Id));
        await ours.SendAllAsync();
        await using var store = await LedgerStore.OpenAsync(await postgres.NewDatabaseAsync(), Stop);
        for (var index = 0; index < ours.Grid.Entries.Count; index++)
        {
            var entry = await ours.Sequencer.Entries.EntryAsync(index, Stop);
            await using var session = store.Events.LightweightSession();
            var seen = new HashSet<StreamId>();
            foreach (var happened in ours.Grid.Entries[index].Events.Where(e => !e.IsHighRate))
                session.Events.Append(happened.Stream.ToString(), RecordedEvents.Record(happened, index, seen.Add(happened.Stream) ? entry : default));
            await session.SaveChangesAsync(Stop);
        }
        await using var theirs = store.Events.QuerySession();
        Assert.Equal(Assert.Single(await theirs.QueryAsync<string>(Rows)), await ours.ScalarAsync(Rows));
    }

    [Fact]
    public async Task Every_event_has_its_stream_though_PostgreSQL_no_longer_looks_for_it()
    {
        await using var rig = await Start();
        rig.Grid.Run(rig.Grid.Terms(rig.Grid.Farms[0].Nodes[0].Id));
        await rig.SendAllAsync();
        Assert.Equal("D", await rig.ScalarAsync("select string_agg(distinct tgenabled::text, '') from pg_trigger t join pg_constraint c on c.oid = t.tgconstraint where t.tgrelid = 'events.mt_events'::regclass and c.contype = 'f'"));
        Assert.Equal(0L, await rig.ScalarAsync("select count(*) from events.mt_events e where not exists (select from events.mt_streams s where s.id = e.stream_id)"));
        Assert.Equal(0L, await rig.ScalarAsync("select count(*) from events.mt_streams s where version <> (select count(*) from events.mt_events e where e.stream_id = s.id)"));
    }

    [Theory]
    [InlineData("update log.batch set count = count")]
    [InlineData("delete from log.batch")]
    [InlineData("truncate log.batch")]
    [InlineData("delete from log.head")]
    [InlineData("truncate log.head")]
    [InlineData("update log.head set size = 0")]
    [InlineData("update log.head set root = root")]
    [InlineData("update log.head set epoch = epoch + 2")]
    [InlineData("insert into log.batch values (99, 1, '', sha256(''))")]
    [InlineData("update events.mt_events set type = type")]
    [InlineData("delete from events.mt_events")]
    [InlineData("truncate events.mt_events, events.mt_streams")]
    [InlineData("delete from events.mt_streams")]
    public async Task Not_even_the_owner_rewrites_the_log(string sql)
    {
        await using var rig = await Start();
        await rig.AcceptAsync(rig.Grid.Entries[1].Statement);
        var refused = await Assert.ThrowsAsync<PostgresException>(() => rig.ExecuteAsync(sql));
        Assert.Contains(refused.SqlState, new[] { PostgresErrorCodes.InsufficientPrivilege, PostgresErrorCodes.IntegrityConstraintViolation });
    }

    [Theory]
    [InlineData("alter table log.batch disable trigger all")]
    [InlineData("delete from log.batch")]
    [InlineData("delete from log.head")]
    [InlineData("insert into log.head (size, root, epoch, checkpoint) values (0, sha256(''), 0, '')")]
    [InlineData("drop table log.batch")]
    [InlineData("update events.mt_events set type = type")]
    public async Task The_sequencers_role_has_no_right_to(string sql)
    {
        await using var rig = await Start();
        var refused = await Assert.ThrowsAsync<PostgresException>(() => rig.ExecuteAsync($"set role grid_sequencer; {sql}"));
        Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, refused.SqlState);
    }

    [Fact]
    public async Task Whatever_is_flipped_in_the_store_is_found_at_the_next_start()
    {
        await using var rig = await Start();
        await rig.SendAllAsync();
        await rig.Sequencer.DisposeAsync();
        var random = new Random(11);
        var flips = Enumerable.Range(0, 60).Select(_ => (random.Next(3) switch { 0 => "entries", 1 => "leaves", _ => "root" }, random.Next(), random.Next(8)));
        foreach (var (column, where, bit) in flips)
        {
            var change = column == "root"
                ? $"update log.head set root = set_bit(root, {where % 256}, 1 - get_bit(root, {where % 256}))"
                : $"update log.batch set {column} = set_bit({column}, ({where} % octet_length({column})) * 8 + {bit}, 1 - get_bit({column}, ({where} % octet_length({column})) * 8 + {bit})) "
                    + $"where first = (select first from log.batch order by first offset {where} % (select count(*) from log.batch) limit 1)";
            await Tamper(rig, change);
            await Assert.ThrowsAsync<LogDamagedException>(() => Replayed(rig));
            await Tamper(rig, change);
        }
        Assert.Equal(rig.Grid.Entries.Count, (await Replayed(rig)).Size);
    }

    [Theory]
    [InlineData("delete from log.batch where first = (select max(first) from log.batch)")]
    [InlineData("delete from log.batch where first = 3")]
    [InlineData("update log.batch set first = first + 1000 where first = 2")]
    [InlineData("update log.head set checkpoint = ''")]
    [InlineData("update log.head set checkpoint = replace(checkpoint, 'grid.test', 'grid.best')")]
    [InlineData("update log.head set size = size - 1")]
    [InlineData("delete from log.head")]
    public async Task Whatever_is_cut_moved_or_renamed_is_found_at_the_next_start(string change)
    {
        await using var rig = await Start();
        await rig.SendAllAsync();
        await rig.Sequencer.DisposeAsync();
        await Tamper(rig, change);
        await Assert.ThrowsAsync<LogDamagedException>(() => Replayed(rig));
    }

    [Fact]
    public async Task Entries_are_read_by_index_across_batches()
    {
        await using var rig = await Start();
        await rig.SendAllAsync();
        var fresh = new EntryReader(rig.Store);
        for (var from = 0; from < rig.Sequencer.Current.Size; from += 3)
        {
            var index = (long)from;
            await foreach (var bytes in fresh.RangeAsync(from, rig.Sequencer.Current.Size, Stop))
                Assert.Equal(index++, Log.Entry.Decode(bytes).Index);
            Assert.Equal(rig.Sequencer.Current.Size, index);
        }
    }

    private async Task<Rig> Start() => await Rig.StartAsync(await postgres.NewDatabaseAsync());

    private static async Task<Snapshot> Replayed(Rig rig) => await Replay.ForwardAsync(
        rig.Store, Snapshot.Empty, await rig.Store.HeadAsync(Stop), Rig.Options.Origin, rig.Grid.Key("ledger").Public, Stop);

    // Somebody with all rights over the database, who takes the guards away first.
    private static Task Tamper(Rig rig, string sql) => rig.ExecuteAsync($"set session_replication_role = replica; {sql}");

    private static string NameOf(Type type) =>
        ((Event)System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(type)).Name;
}
