using System.Formats.Cbor;
using Grid.Units;

namespace Grid.Statements;

/// <summary>Writer of core deterministic CBOR (RFC 8949 §4.2.1): sorts keys, shortest lengths, definite lengths only.</summary>
public sealed class CanonicalWriter
{
    private readonly CborWriter _writer;

    private CanonicalWriter(int capacity) =>
        _writer = new(CborConformanceMode.Canonical, convertIndefiniteLengthEncodings: false, allowMultipleRootLevelValues: false, capacity);

    /// <param name="capacity">bytes that are expected; more may come</param>
    public static byte[] Encode(Action<CanonicalWriter> write, int capacity = 1024)
    {
        var writer = new CanonicalWriter(capacity);
        write(writer);
        return writer._writer.Encode();
    }

    /// <summary>Writes a map; the number of fields must be known, the order is made canonical.</summary>
    public void Map(int fields, Action<CanonicalWriter> write)
    {
        _writer.WriteStartMap(fields);
        write(this);
        _writer.WriteEndMap();
    }

    public CanonicalWriter Key(string name)
    {
        _writer.WriteTextString(name);
        return this;
    }

    public void Array<T>(IReadOnlyCollection<T> items, Action<CanonicalWriter, T> write)
    {
        _writer.WriteStartArray(items.Count);
        foreach (var item in items)
            write(this, item);
        _writer.WriteEndArray();
    }

    public void ArrayOf(int length, Action<CanonicalWriter> write)
    {
        _writer.WriteStartArray(length);
        write(this);
        _writer.WriteEndArray();
    }

    public void TextMap(IReadOnlyCollection<KeyValuePair<string, string>> items) => Map(items.Count, w =>
    {
        foreach (var (key, value) in items)
            w.Key(key).Text(value);
    });

    public void Text(string value) => _writer.WriteTextString(value);

    public void ByteString(ReadOnlySpan<byte> value) => _writer.WriteByteString(value);

    public void Digest(Digest value)
    {
        Span<byte> bytes = stackalloc byte[Units.Digest.Size];
        value.CopyTo(bytes);
        _writer.WriteByteString(bytes);
    }

    public void Id<T>(T id) where T : struct, IId<T> => Digest(id.Value);

    public void PublicKey(PublicKey key) => Digest(key.Value);

    public void UInt(long value) => _writer.WriteUInt64(checked((ulong)value));

    public void Int(long value) => _writer.WriteInt64(value);

    public void Time(DateTimeOffset value) => UInt(value.ToUnixTimeSeconds());

    public void Seconds(TimeSpan value) => UInt((long)value.TotalSeconds);

    public void Money(Money value) => UInt(checked((long)value.Units));

    public void Tag(ulong tag) => _writer.WriteTag((CborTag)tag);

    public void Null() => _writer.WriteNull();

    public void Encoded(ReadOnlySpan<byte> value) => _writer.WriteEncodedValue(value);
}
