using Grid.Units;
using Grid.World;
using Npgsql;
using NpgsqlTypes;

namespace Grid.Ledger.Store;

/// <summary>
/// A batch's events as rows of Marten's own tables, in one command. Marten's session calls a function a stream, which costs twice the time of a
/// whole commit; the rows are the same, which a test compares column by column, and the tables are checked when the store is opened.
/// </summary>
internal static class StreamRows
{
    // By position: what Marten 9.58 makes. Another release may ask for more, and then nothing is written.
    private const string EventColumns = "seq_id id stream_id version data bdata type timestamp tenant_id mt_dotnet_type is_archived";
    private const string StreamColumns = "id type version timestamp created tenant_id compacted_version is_archived";

    private const string Insert = """
        with touched as (
            insert into events.mt_streams (id, version) select * from unnest($1, $2)
            on conflict (id) do update set version = mt_streams.version + excluded.version, timestamp = now()
            returning id, version
        )
        insert into events.mt_events (seq_id, id, stream_id, version, data, bdata, type, timestamp, mt_dotnet_type)
        select nextval('events.mt_events_sequence'), e.id, e.stream, t.version - e.later, '{}', e.data, e.type, now(), e.dotnet
        from unnest($3, $4, $5, $6, $7, $8) with ordinality as e (id, stream, later, data, type, dotnet, place)
        join touched t on t.id = e.stream order by e.place
        """;

    /// <summary>Null when nothing in the batch has a stream.</summary>
    public static NpgsqlCommand? Command(Batch batch)
    {
        var (ids, streams, types, names, data) = (new List<Guid>(), new List<Touched>(), new List<string>(), new List<string>(), new List<byte[]>());
        var touched = new Dictionary<StreamId, Touched>();
        foreach (var (entry, events) in batch.Entries)
        {
            var place = 0;
            foreach (var happened in events)
            {
                if (happened.IsHighRate)
                    continue;
                if (!touched.TryGetValue(happened.Stream, out var stream))
                    touched[happened.Stream] = stream = new Touched(happened.Stream.ToString());
                data.Add(RecordedEvents.Encode(entry.Index, stream.Newest == entry.Index ? default : entry.Bytes));
                ids.Add(IdOf(entry.LeafHash, place++));
                streams.Add(stream);
                types.Add(happened.Name);
                names.Add(RecordedEvents.DotNetTypeOf(happened));
                stream.Count++;
                stream.Newest = entry.Index;
            }
        }
        if (streams.Count == 0)
            return null;
        // How many of the stream's events in this batch come behind each: the stream's new version less that is the event's.
        var counts = touched.Values.Select(t => (long)t.Count).ToArray();
        var later = streams.ConvertAll(s => (long)--s.Count);
        return new NpgsqlCommand(Insert)
        {
            Parameters =
            {
                Texts(touched.Values.Select(t => t.Id)), Array(counts, NpgsqlDbType.Bigint), Array(ids, NpgsqlDbType.Uuid), Texts(streams.Select(s => s.Id)),
                Array(later, NpgsqlDbType.Bigint), Array(data, NpgsqlDbType.Bytea), Texts(types), Texts(names),
            },
        };
    }

    /// <exception cref="InvalidOperationException">the tables are not those that this code writes</exception>
    public static async Task CheckTablesAsync(NpgsqlConnection connection, CancellationToken stop)
    {
        foreach (var (table, expected) in new[] { ("mt_events", EventColumns), ("mt_streams", StreamColumns) })
        {
            await using var command = new NpgsqlCommand(
                "select string_agg(column_name, ' ' order by ordinal_position) from information_schema.columns where table_schema = 'events' and table_name = $1", connection);
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = table });
            if (await command.ExecuteScalarAsync(stop) as string is var found && found != expected)
                throw new InvalidOperationException($"Marten's table {table} has the columns '{found}'; '{expected}' are written.");
        }
    }

    /// <param name="id">of the stream, as text</param>
    private sealed class Touched(string id)
    {
        public string Id { get; } = id;

        public int Count { get; set; }

        /// <summary>The entry of its newest event so far.</summary>
        public long Newest { get; set; } = -1;
    }

    // Ids of events are Marten's need, not ours: derived, so that a log has one form in the database too.
    private static Guid IdOf(Digest leaf, int place)
    {
        Span<byte> bytes = stackalloc byte[Digest.Size];
        leaf.CopyTo(bytes);
        bytes[15] ^= (byte)place;
        bytes[14] ^= (byte)(place >> 8);
        return new Guid(bytes[..16], bigEndian: true);
    }

    private static NpgsqlParameter Texts(IEnumerable<string> values) => Array(values, NpgsqlDbType.Text);

    private static NpgsqlParameter Array<T>(IEnumerable<T> values, NpgsqlDbType type) =>
        new NpgsqlParameter<T[]> { TypedValue = [.. values], NpgsqlDbType = NpgsqlDbType.Array | type };
}
