using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Grid.Units;

namespace Grid.Statements;

/// <summary>Writer of core deterministic CBOR (RFC 8949 §4.2.1): sorts keys, shortest lengths, definite lengths only.</summary>
public sealed class CanonicalWriter
{
    // Of every map around the place that is written: where its keys stand.
    private readonly List<Range> _keys = [];
    private byte[] _bytes;
    private int _length;

    private CanonicalWriter(int capacity) => _bytes = ArrayPool<byte>.Shared.Rent(capacity);

    /// <param name="capacity">bytes that are expected; more may come</param>
    public static byte[] Encode(Action<CanonicalWriter> write, int capacity = 1024)
    {
        var writer = new CanonicalWriter(capacity);
        write(writer);
        var bytes = writer._bytes[..writer._length];
        ArrayPool<byte>.Shared.Return(writer._bytes);
        return bytes;
    }

    /// <summary>Writes a map; the number of fields must be known, the order is made canonical.</summary>
    /// <exception cref="InvalidOperationException">not as many fields were written, or one twice</exception>
    public void Map(int fields, Action<CanonicalWriter> write)
    {
        Head(5, (ulong)fields);
        var (start, first) = (_length, _keys.Count);
        write(this);
        if (_keys.Count - first != fields)
            throw new InvalidOperationException($"A map of {fields} fields has {_keys.Count - first}.");
        if (!IsSorted(first))
            Sort(start, first);
        _keys.RemoveRange(first, fields);
    }

    public CanonicalWriter Key(string name)
    {
        var start = _length;
        Text(name);
        _keys.Add(start.._length);
        return this;
    }

    /// <summary>A label of a COSE header.</summary>
    public CanonicalWriter Key(long label)
    {
        var start = _length;
        Int(label);
        _keys.Add(start.._length);
        return this;
    }

    public void Array<T>(IReadOnlyCollection<T> items, Action<CanonicalWriter, T> write)
    {
        Head(4, (ulong)items.Count);
        foreach (var item in items)
            write(this, item);
    }

    /// <param name="write">writes so many values</param>
    public void ArrayOf(int length, Action<CanonicalWriter> write)
    {
        Head(4, (ulong)length);
        write(this);
    }

    public void TextMap(IReadOnlyCollection<KeyValuePair<string, string>> items) => Map(items.Count, w =>
    {
        foreach (var (key, value) in items)
            w.Key(key).Text(value);
    });

    /// <exception cref="EncoderFallbackException">half of a surrogate pair, which no UTF-8 can say</exception>
    public void Text(string value)
    {
        var length = Strict.GetByteCount(value);
        Head(3, (ulong)length);
        Strict.GetBytes(value, Grow(length));
    }

    public void ByteString(ReadOnlySpan<byte> value)
    {
        Head(2, (ulong)value.Length);
        value.CopyTo(Grow(value.Length));
    }

    public void Digest(Digest value)
    {
        Head(2, Units.Digest.Size);
        value.CopyTo(Grow(Units.Digest.Size));
    }

    public void Id<T>(T id) where T : struct, IId<T> => Digest(id.Value);

    public void PublicKey(PublicKey key) => Digest(key.Value);

    public void UInt(long value) => Head(0, checked((ulong)value));

    public void Int(long value) => Head(value < 0 ? 1 : 0, (ulong)(value < 0 ? ~value : value));

    public void Time(DateTimeOffset value) => UInt(value.ToUnixTimeSeconds());

    public void Seconds(TimeSpan value) => UInt((long)value.TotalSeconds);

    public void Money(Money value) => UInt(checked((long)value.Units));

    public void Tag(ulong tag) => Head(6, tag);

    public void Null() => Grow(1)[0] = 0xf6;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    // RFC 8949 §3: three bits of major type, and the argument in the fewest bytes that hold it.
    private void Head(int major, ulong argument)
    {
        var type = (byte)(major << 5);
        switch (argument)
        {
            case < 24:
                Grow(1)[0] = (byte)(type | (byte)argument);
                break;
            case <= byte.MaxValue:
                var two = Grow(2);
                (two[0], two[1]) = ((byte)(type | 24), (byte)argument);
                break;
            case <= ushort.MaxValue:
                var three = Grow(3);
                three[0] = (byte)(type | 25);
                BinaryPrimitives.WriteUInt16BigEndian(three[1..], (ushort)argument);
                break;
            case <= uint.MaxValue:
                var five = Grow(5);
                five[0] = (byte)(type | 26);
                BinaryPrimitives.WriteUInt32BigEndian(five[1..], (uint)argument);
                break;
            default:
                var nine = Grow(9);
                nine[0] = (byte)(type | 27);
                BinaryPrimitives.WriteUInt64BigEndian(nine[1..], argument);
                break;
        }
    }

    /// <summary>The next bytes, to be filled.</summary>
    private Span<byte> Grow(int count)
    {
        if (_bytes.Length - _length < count)
        {
            var larger = ArrayPool<byte>.Shared.Rent(int.Max(_length + count, 2 * _bytes.Length));
            _bytes.AsSpan(0, _length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = larger;
        }
        _length += count;
        return _bytes.AsSpan(_length - count, count);
    }

    private bool IsSorted(int first)
    {
        for (var i = first + 1; i < _keys.Count; i++)
        {
            if (Compare(_keys[i - 1], _keys[i]) > 0)
                return false;
        }
        return true;
    }

    // A field reaches from its key to the next one, or to the end of the map.
    private void Sort(int start, int first)
    {
        var fields = new (Range Key, int End)[_keys.Count - first];
        for (var i = 0; i < fields.Length; i++)
            fields[i] = (_keys[first + i], i + 1 < fields.Length ? _keys[first + i + 1].Start.Value : _length);
        System.Array.Sort(fields, (a, b) => Compare(a.Key, b.Key));
        var sorted = new byte[_length - start];
        var rest = sorted.AsSpan();
        foreach (var (key, end) in fields)
        {
            var field = _bytes.AsSpan(key.Start.Value..end);
            field.CopyTo(rest);
            rest = rest[field.Length..];
        }
        sorted.CopyTo(_bytes.AsSpan(start));
    }

    private int Compare(Range a, Range b)
    {
        var order = _bytes.AsSpan(a).SequenceCompareTo(_bytes.AsSpan(b));
        return order != 0 || a.Equals(b) ? order : throw new InvalidOperationException($"A map has the field '{Encoding.UTF8.GetString(_bytes.AsSpan(a)[1..])}' twice.");
    }
}
