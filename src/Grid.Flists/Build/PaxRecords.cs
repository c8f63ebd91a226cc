using System.Globalization;
using System.Text;

namespace Grid.Flists.Build;

/// <summary>The records of a POSIX.1-2001 extended header: <c>length " " key "=" value "\n"</c>. Values are raw bytes; an empty one takes an earlier one back.</summary>
internal sealed class PaxRecords
{
    public const int MaximumLength = 1 << 20;

    private readonly Dictionary<string, byte[]> _records = new(StringComparer.Ordinal);

    public IEnumerable<KeyValuePair<string, byte[]>> All => _records;

    /// <summary>The global records with the entry's own above them.</summary>
    public static PaxRecords Over(PaxRecords global, PaxRecords? own)
    {
        var merged = new PaxRecords();
        foreach (var (key, value) in global._records)
            merged._records[key] = value;
        foreach (var (key, value) in own?._records ?? [])
            merged._records[key] = value;
        return merged;
    }

    /// <exception cref="FlistBuildException"/>
    public void Add(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            var space = data.IndexOf((byte)' ');
            if (space is < 1 or > 9 || !int.TryParse(data[..space], NumberStyles.None, CultureInfo.InvariantCulture, out var length) || length > data.Length || length < space + 3)
                throw Bad("a record's length");
            var record = data[(space + 1)..length];
            data = data[length..];
            var equals = record.IndexOf((byte)'=');
            if (equals < 1 || record[^1] != '\n')
                throw Bad("a record without '=' or line end");
            // Latin-1 keeps every byte of a key apart.
            _records[Encoding.Latin1.GetString(record[..equals])] = record[(equals + 1)..^1].ToArray();
        }
    }

    public byte[]? Bytes(string key) => _records.TryGetValue(key, out var value) && value.Length > 0 ? value : null;

    public long? Number(string key)
    {
        if (Bytes(key) is not { } text)
            return null;
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value : throw Bad(key);
    }

    /// <summary>Seconds, rounded down: a fraction is dropped as the file system's nanoseconds are.</summary>
    public long? Time(string key)
    {
        if (Bytes(key) is not { } text)
            return null;
        var point = text.AsSpan().IndexOf((byte)'.');
        var whole = point < 0 ? text : text.AsSpan(0, point);
        var fraction = point < 0 ? default : text.AsSpan(point + 1);
        if (!long.TryParse(whole, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seconds) || fraction.ContainsAnyExceptInRange((byte)'0', (byte)'9'))
            throw Bad(key);
        return whole[0] == '-' && fraction.ContainsAnyExcept((byte)'0') ? seconds - 1 : seconds;
    }

    private static FlistBuildException Bad(string what) => new(FlistBuildCode.BadHeader, $"An extended tar header is malformed: {what}.");
}
