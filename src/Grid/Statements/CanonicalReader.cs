using System.Collections.Immutable;
using System.Runtime.InteropServices;
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
/// Strict reader of core deterministic CBOR (RFC 8949 §4.2.1): shortest lengths, sorted unique keys, nothing indefinite, no floats,
/// nothing after the end. Maps are read field by field in their canonical order (shorter keys first, then bytewise), so a field that the
/// reader does not ask for is refused where it stands.
/// </summary>
/// <remarks>Its own rather than the framework's: a statement is some eighty values, and each is read on the way of every statement.</remarks>
public sealed class CanonicalReader(ReadOnlyMemory<byte> data)
{
    private const int MaximumKey = 64;

    private CborScanner _at = new(data);
    private int _depth;
    private Fields _fields;

    /// <summary>Reads one whole value with <paramref name="read"/> and refuses anything that follows it.</summary>
    /// <exception cref="StatementFormatException"/>
    public static T ReadAll<T>(ReadOnlyMemory<byte> data, Func<CanonicalReader, T> read)
    {
        var reader = new CanonicalReader(data);
        var value = read(reader);
        return reader._at.Left == 0 ? value : throw Malformed($"{reader._at.Left} bytes follow the value.");
    }

    /// <summary>The text of one field of an encoded map, for maps whose shape depends on it; everything is read strictly afterwards.</summary>
    /// <exception cref="StatementFormatException"/>
    public static string PeekText(ReadOnlyMemory<byte> map, string field) => ReadAll(map, r =>
    {
        var value = (string?)null;
        for (var left = r._at.Count(CborMajor.Map); left > 0; left--)
        {
            if (Ascii.Equals(r._at.Utf8(MaximumKey), field))
                value = r.Text(MaximumKey);
            else
                r._at.Skip(0);
        }
        return value ?? throw new StatementFormatException(RefusalCode.MissingField, $"The field '{field}' is missing.");
    });

    public static StatementFormatException Malformed(string message) => new(RefusalCode.Malformed, message);

    /// <summary>Reads a map: enter, fields in canonical order, leave.</summary>
    public T Map<T>(Func<CanonicalReader, T> fields)
    {
        var outer = Enter(_at.Count(CborMajor.Map));
        var value = fields(this);
        if (HasKey())
            throw Unknown(Name);
        Leave(outer);
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
    /// <param name="name">ASCII</param>
    public bool TryField(string name)
    {
        if (!HasKey())
            return false;
        if (Ascii.Equals(Name, name))
        {
            _fields.IsKeyRead = false;
            _fields.Left--;
            return true;
        }
        // Keys arrive sorted: one that sorts before the wanted key can no longer be asked for.
        return Precedes(Name, name) ? throw Unknown(Name) : false;
    }

    /// <summary>Reads an array with at most <paramref name="maximum"/> items.</summary>
    public ImmutableArray<T> Array<T>(int maximum, Func<CanonicalReader, T> item)
    {
        var length = _at.Count(CborMajor.Array);
        if (length > maximum)
            throw new StatementFormatException(RefusalCode.TooLarge, $"An array has {length} items; {maximum} are allowed.");
        var outer = Enter(0);
        var items = length == 0 ? [] : new T[length];
        for (var i = 0; i < length; i++)
            items[i] = item(this);
        Leave(outer);
        return ImmutableCollectionsMarshal.AsImmutableArray(items);
    }

    /// <summary>Reads an array of exactly <paramref name="length"/> values of different kinds.</summary>
    public void Tuple(int length, Action<CanonicalReader> items)
    {
        if (_at.Count(CborMajor.Array) is var actual && actual != length)
            throw Malformed($"An array of {length} is wanted, one of {actual} is there.");
        var outer = Enter(0);
        items(this);
        Leave(outer);
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
        var length = _at.Count(CborMajor.Map);
        if (length > maximumCount)
            throw new StatementFormatException(RefusalCode.TooLarge, $"A map has {length} fields; {maximumCount} are allowed.");
        var items = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>(length);
        var before = default(ReadOnlySpan<byte>);
        for (var i = 0; i < length; i++)
        {
            var at = _at.Position;
            var key = Text(maximumKey);
            before = _at.Following(before, at);
            items.Add(new(key, Text(maximumValue)));
        }
        return items.MoveToImmutable();
    }

    public string Text(int maximumBytes) => Encoding.UTF8.GetString(_at.Utf8(maximumBytes));

    public byte[] ByteString(int maximumBytes)
    {
        var value = ByteStringInPlace();
        if (value.Length > maximumBytes)
            throw new StatementFormatException(RefusalCode.TooLarge, $"A byte string is longer than {maximumBytes} bytes.");
        return value.ToArray();
    }

    public ReadOnlyMemory<byte> ByteStringInPlace() => _at.Bytes();

    public Digest Digest()
    {
        var value = ByteStringInPlace().Span;
        return value.Length == Units.Digest.Size ? new Digest(value) : throw Malformed($"32 bytes are wanted, {value.Length} are there.");
    }

    public T Id<T>() where T : struct, IId<T> => T.From(Digest());

    public PublicKey Key() => new(Digest());

    /// <summary>An unsigned integer from 0 to <paramref name="maximum"/>, at most 2⁶³−1.</summary>
    public long UInt(long maximum = long.MaxValue)
    {
        var value = _at.Head(CborMajor.Unsigned);
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
        if (_at.Head(CborMajor.Tag) is var tag && tag != expected)
            throw Malformed($"Tag {expected} is wanted, {tag} is there.");
    }

    public bool TryNull() => _at.TryNull();

    /// <summary>True when a text stands here; for fields where text has a meaning of its own that must be refused by name.</summary>
    public bool IsText => _at.Major == CborMajor.Text;

    /// <summary>The bytes of the next value as they stand, looked through as strictly as if they were read.</summary>
    public ReadOnlyMemory<byte> Encoded()
    {
        var start = _at.Position;
        _at.Skip(_depth);
        return _at.Since(start);
    }

    /// <summary>How far the map around the next value is read; arrays have none left.</summary>
    private struct Fields
    {
        public int Left;

        // The newest key, encoded: [KeyStart, KeyEnd). Both zero before the first.
        public int KeyStart, KeyEnd;

        // It is read, and its value was not asked for yet.
        public bool IsKeyRead;
    }

    private Fields Enter(int fields)
    {
        if (++_depth > CborScanner.MaximumDepth)
            throw CborScanner.TooDeep();
        var outer = _fields;
        _fields = new Fields { Left = fields };
        return outer;
    }

    private void Leave(Fields outer) => (_depth, _fields) = (_depth - 1, outer);

    private bool HasKey()
    {
        if (_fields.Left == 0 || _fields.IsKeyRead)
            return _fields.Left > 0;
        var start = _at.Position;
        _at.Utf8(MaximumKey);
        _at.Following(_at.Between(_fields.KeyStart, _fields.KeyEnd), start);
        (_fields.KeyStart, _fields.KeyEnd, _fields.IsKeyRead) = (start, _at.Position, true);
        return true;
    }

    // The text of the key behind its head, which is one byte for up to 23 bytes of text and two above.
    private ReadOnlySpan<byte> Name => _at.Between(_fields.KeyStart + (_fields.KeyEnd - _fields.KeyStart <= 24 ? 1 : 2), _fields.KeyEnd);

    private static bool Precedes(ReadOnlySpan<byte> key, string name)
    {
        if (key.Length != name.Length)
            return key.Length < name.Length;
        for (var i = 0; i < key.Length; i++)
        {
            if (key[i] != name[i])
                return key[i] < name[i];
        }
        return false;
    }

    private static StatementFormatException Unknown(ReadOnlySpan<byte> utf8)
    {
        var key = Encoding.UTF8.GetString(utf8);
        return RefusalCode.HostAccessFields.Contains(key)
            ? new(RefusalCode.HostAccess, $"The field '{key}' would reach into the host; no workload may.")
            : new(RefusalCode.UnknownField, $"The field '{key}' is not known here.");
    }
}
