using System.Collections.Immutable;
using System.Formats.Cbor;
using System.Text;
using Grid.Units;

namespace Grid.Statements;

/// <summary>The one error that reading outside bytes raises. <see cref="Code"/> is a <see cref="RefusalCode"/>.</summary>
public sealed class StatementFormatException(string code, string message, Exception? inner = null) : FormatException(message, inner)
{
    public string Code { get; } = code;

    public Refusal ToRefusal() => new(Code, Message);
}

/// <summary>
/// Strict reader of core deterministic CBOR (RFC 8949 §4.2.1): shortest lengths, sorted unique text keys, nothing indefinite, no floats,
/// nothing after the end. Maps are read field by field in their canonical order (shorter keys first, then bytewise), so a field that the
/// reader does not ask for is refused where it stands.
/// </summary>
public sealed class CanonicalReader(ReadOnlyMemory<byte> data)
{
    private const int MaximumDepth = 16;

    // Framework "canonical" mode is RFC 7049 §3.9; for keys that are all text or all small integers its order equals RFC 8949's.
    private readonly CborReader _reader = new(data, CborConformanceMode.Canonical);
    private readonly Stack<int> _remaining = new();
    private string? _pending;

    /// <summary>Reads one whole value with <paramref name="read"/> and refuses anything that follows it.</summary>
    /// <exception cref="StatementFormatException"/>
    public static T ReadAll<T>(ReadOnlyMemory<byte> data, Func<CanonicalReader, T> read)
    {
        try
        {
            var reader = new CanonicalReader(data);
            var value = read(reader);
            if (reader._reader.BytesRemaining != 0)
                throw Malformed($"{reader._reader.BytesRemaining} bytes follow the value.");
            return value;
        }
        catch (Exception e) when (e is CborContentException or InvalidOperationException or OverflowException or DecoderFallbackException)
        {
            throw new StatementFormatException(RefusalCode.Malformed, $"Not deterministic CBOR of the expected shape: {e.Message}", e);
        }
    }

    /// <summary>The text of one field of an encoded map, for maps whose shape depends on it; everything is read strictly afterwards.</summary>
    /// <exception cref="StatementFormatException"/>
    public static string PeekText(ReadOnlyMemory<byte> map, string field) => ReadAll(map, r =>
    {
        var value = (string?)null;
        var count = r._reader.ReadStartMap() ?? throw Malformed("Indefinite lengths are not allowed.");
        for (var i = 0; i < count; i++)
        {
            if (r.Text(64) == field)
                value = r.Text(64);
            else
                r._reader.SkipValue();
        }
        r._reader.ReadEndMap();
        return value ?? throw new StatementFormatException(RefusalCode.MissingField, $"The field '{field}' is missing.");
    });

    public static StatementFormatException Malformed(string message) => new(RefusalCode.Malformed, message);

    /// <summary>Reads a map: enter, fields in canonical order, leave.</summary>
    public T Map<T>(Func<CanonicalReader, T> fields)
    {
        Enter(_reader.ReadStartMap());
        var value = fields(this);
        if (PeekKey() is { } surplus)
            throw Unknown(surplus);
        _remaining.Pop();
        _reader.ReadEndMap();
        return value;
    }

    /// <summary>Positions on the value of a field that must be there.</summary>
    public CanonicalReader Field(string name)
    {
        if (!TryField(name))
            throw new StatementFormatException(RefusalCode.MissingField, $"The field '{name}' is missing.");
        return this;
    }

    /// <summary>Positions on the value of a field that may be there.</summary>
    public bool TryField(string name)
    {
        if (PeekKey() is not { } key)
            return false;
        if (key == name)
        {
            _pending = null;
            _remaining.Push(_remaining.Pop() - 1);
            return true;
        }
        // Keys arrive sorted: one that sorts before the wanted key can no longer be asked for.
        return Precedes(key, name) ? throw Unknown(key) : false;
    }

    /// <summary>Reads an array with at most <paramref name="maximum"/> items.</summary>
    public ImmutableArray<T> Array<T>(int maximum, Func<CanonicalReader, T> item)
    {
        var length = _reader.ReadStartArray() ?? throw Malformed("Indefinite lengths are not allowed.");
        if (length > maximum)
            throw new StatementFormatException(RefusalCode.TooLarge, $"An array has {length} items; {maximum} are allowed.");
        Enter(0);
        var items = ImmutableArray.CreateBuilder<T>(length);
        for (var i = 0; i < length; i++)
            items.Add(item(this));
        _remaining.Pop();
        _reader.ReadEndArray();
        return items.MoveToImmutable();
    }

    /// <summary>Reads an array of exactly <paramref name="length"/> values of different kinds.</summary>
    public void Tuple(int length, Action<CanonicalReader> items)
    {
        var actual = _reader.ReadStartArray() ?? throw Malformed("Indefinite lengths are not allowed.");
        if (actual != length)
            throw Malformed($"An array of {length} is wanted, one of {actual} is there.");
        Enter(0);
        items(this);
        _remaining.Pop();
        _reader.ReadEndArray();
    }

    /// <summary>Reads an array whose items must be sorted and unique by <paramref name="order"/>: sets have one form.</summary>
    public ImmutableArray<T> Set<T>(int maximum, Func<CanonicalReader, T> item, Comparison<T> order)
    {
        var items = Array(maximum, item);
        for (var i = 1; i < items.Length; i++)
        {
            if (order(items[i - 1], items[i]) >= 0)
                throw Malformed("The items of a set must be sorted and unique.");
        }
        return items;
    }

    /// <summary>The order of texts in sets: bytewise in UTF-8, as every language can sort them.</summary>
    public static int Order(string a, string b) => Encoding.UTF8.GetBytes(a).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(b));

    /// <summary>Reads a map of text to text in canonical order, for environments.</summary>
    public ImmutableArray<KeyValuePair<string, string>> TextMap(int maximumCount, int maximumKey, int maximumValue)
    {
        var length = _reader.ReadStartMap() ?? throw Malformed("Indefinite lengths are not allowed.");
        if (length > maximumCount)
            throw new StatementFormatException(RefusalCode.TooLarge, $"A map has {length} fields; {maximumCount} are allowed.");
        var items = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>(length);
        for (var i = 0; i < length; i++)
            items.Add(new(Text(maximumKey), Text(maximumValue)));
        _reader.ReadEndMap();
        return items.MoveToImmutable();
    }

    public string Text(int maximumBytes)
    {
        if (_reader.PeekState() != CborReaderState.TextString)
            throw Malformed($"Text is wanted, {_reader.PeekState()} is there.");
        var text = _reader.ReadTextString();
        if (Encoding.UTF8.GetByteCount(text) > maximumBytes)
            throw new StatementFormatException(RefusalCode.TooLarge, $"A text is longer than {maximumBytes} bytes.");
        return text;
    }

    public byte[] ByteString(int maximumBytes)
    {
        var value = _reader.ReadDefiniteLengthByteString();
        if (value.Length > maximumBytes)
            throw new StatementFormatException(RefusalCode.TooLarge, $"A byte string is longer than {maximumBytes} bytes.");
        return value.ToArray();
    }

    public ReadOnlyMemory<byte> ByteStringInPlace() => _reader.ReadDefiniteLengthByteString();

    public Digest Digest()
    {
        var value = _reader.ReadDefiniteLengthByteString();
        return value.Length == Units.Digest.Size ? new Digest(value.Span) : throw Malformed($"32 bytes are wanted, {value.Length} are there.");
    }

    public T Id<T>() where T : struct, IId<T> => T.From(Digest());

    public PublicKey Key() => new(Digest());

    /// <summary>An unsigned integer from 0 to <paramref name="maximum"/>, at most 2⁶³−1.</summary>
    public long UInt(long maximum = long.MaxValue)
    {
        var value = _reader.ReadUInt64();
        return value <= (ulong)maximum
            ? (long)value
            : throw new StatementFormatException(RefusalCode.TooLarge, $"The number {value} is larger than {maximum}.");
    }

    /// <summary>Whole seconds since 1970-01-01T00:00:00Z, up to the year 9999.</summary>
    public DateTimeOffset Time() => DateTimeOffset.FromUnixTimeSeconds(UInt(253_402_300_799));

    /// <summary>A length of time in whole seconds, at most 100 years.</summary>
    public TimeSpan Seconds() => TimeSpan.FromSeconds(UInt(3_155_760_000));

    public Money Money() => new(UInt());

    public void Tag(ulong expected)
    {
        var tag = (ulong)_reader.ReadTag();
        if (tag != expected)
            throw Malformed($"Tag {expected} is wanted, {tag} is there.");
    }

    public bool TryNull()
    {
        if (_reader.PeekState() != CborReaderState.Null)
            return false;
        _reader.ReadNull();
        return true;
    }

    /// <summary>True when a text stands here; for fields where text has a meaning of its own that must be refused by name.</summary>
    public bool IsText => _reader.PeekState() == CborReaderState.TextString;

    /// <summary>The bytes of the next value as they stand.</summary>
    public ReadOnlyMemory<byte> Encoded() => _reader.ReadEncodedValue();

    private void Enter(int? length)
    {
        if (length is null)
            throw Malformed("Indefinite lengths are not allowed.");
        if (_remaining.Count == MaximumDepth)
            throw new StatementFormatException(RefusalCode.TooLarge, $"Values are nested deeper than {MaximumDepth}.");
        _remaining.Push(length.Value);
    }

    private string? PeekKey()
    {
        if (_remaining.Peek() == 0)
            return null;
        return _pending ??= Text(64);
    }

    private static bool Precedes(string key, string name)
    {
        var (a, b) = (Encoding.UTF8.GetByteCount(key), Encoding.UTF8.GetByteCount(name));
        return a != b ? a < b : string.CompareOrdinal(key, name) < 0;
    }

    private static StatementFormatException Unknown(string key) => RefusalCode.HostAccessFields.Contains(key)
        ? new(RefusalCode.HostAccess, $"The field '{key}' would reach into the host; no workload may.")
        : new(RefusalCode.UnknownField, $"The field '{key}' is not known here.");
}
