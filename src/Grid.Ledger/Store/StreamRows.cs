using Grid.Units;
using Grid.World;
using Npgsql;
using NpgsqlTypes;

namespace Grid.Ledger.Store;

/// <summary>
/// A batch's events as rows of Marten's own tables: their streams in one command, themselves by COPY. Marten's session calls a function a stream, which costs
/// twice the time of a whole commit; the rows are the same, which a test compares column by column, and the tables are checked when the store is opened.
/// </summary>
internal static class StreamRows
{
    // By position: what Marten 9.58 makes. Another release may ask for more, and then nothing is written.
    private const string EventColumns = "seq_id id stream_id version data bdata type timestamp tenant_id mt_dotnet_type is_archived";
    private const string StreamColumns = "id type version timestamp created tenant_id compacted_version is_archived";

    // Answers each stream's version with the batch's events in it, and the number of the last of them.
    private const string Touch = """
        with touched as (
            insert into events.mt_streams (id, version) select * from unnest($1, $2)
            on conflict (id) do update set version = mt_streams.version + excluded.version, timestamp = now()
            returning id, version
        )
        select id, version, (select setval('events.mt_events_sequence', nextval('events.mt_events_sequence') + $3 - 1)) from touched
        """;

    // What is copied is put into its pages and logged page by page; what is inserted, row by row.
    private const string Copy = "copy events.mt_events (seq_id, id, stream_id, version, data, bdata, type, mt_dotnet_type) from stdin (format binary)";

    public static void Write(NpgsqlConnection connection, NpgsqlTransaction transaction, Batch batch)
    {
        var rows = new List<Row>();
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
                rows.Add(new Row(IdOf(entry.LeafHash, place++), stream, RecordedEvents.Encode(entry.Index, stream.Newest == entry.Index ? default : entry.Bytes), happened));
                stream.Count++;
                stream.Newest = entry.Index;
            }
        }
        if (rows.Count == 0)
            return;
        var sequence = Number(connection, transaction, touched.Values, rows.Count);
        using var copy = connection.BeginBinaryImport(Copy);
        foreach (var row in rows)
        {
            copy.StartRow();
            copy.Write(++sequence, NpgsqlDbType.Bigint);
            copy.Write(row.Id, NpgsqlDbType.Uuid);
            copy.Write(row.Stream.Id, NpgsqlDbType.Text);
            copy.Write(++row.Stream.Version, NpgsqlDbType.Bigint);
            copy.Write("{}", NpgsqlDbType.Jsonb);
            copy.Write(row.Data, NpgsqlDbType.Bytea);
            copy.Write(row.Event.Name, NpgsqlDbType.Text);
            copy.Write(RecordedEvents.DotNetTypeOf(row.Event), NpgsqlDbType.Text);
        }
        copy.Complete();
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

    // Sets each stream's version to what it was before the batch.
    /// <returns>the number of the newest event before the batch</returns>
    private static long Number(NpgsqlConnection connection, NpgsqlTransaction transaction, ICollection<Touched> touched, int events)
    {
        using var command = new NpgsqlCommand(Touch, connection, transaction)
        {
            Parameters =
            {
                Array(touched.Select(t => t.Id), NpgsqlDbType.Text), Array(touched.Select(t => (long)t.Count), NpgsqlDbType.Bigint), new NpgsqlParameter<long> { TypedValue = events },
            },
        };
        var byId = touched.ToDictionary(t => t.Id);
        var last = 0L;
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            var stream = byId[reader.GetString(0)];
            stream.Version = reader.GetInt64(1) - stream.Count;
            last = reader.GetInt64(2);
        }
        return last - events;
    }

    private sealed record Row(Guid Id, Touched Stream, byte[] Data, Event Event);

    /// <param name="id">of the stream, as text</param>
    private sealed class Touched(string id)
    {
        public string Id { get; } = id;

        public int Count { get; set; }

        public long Version { get; set; }

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

    private static NpgsqlParameter Array<T>(IEnumerable<T> values, NpgsqlDbType type) =>
        new NpgsqlParameter<T[]> { TypedValue = [.. values], NpgsqlDbType = NpgsqlDbType.Array | type };
}
