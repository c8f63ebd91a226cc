using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Grid.Units;

/// <summary>A SHA-256 value: 32 bytes, ordered bytewise, written as 64 lower-case hexadecimal digits.</summary>
public readonly record struct Digest : IComparable<Digest>
{
    public const int Size = 32;

    // OpenSSL is four times as fast on what is long, but needs the time of two blocks to begin; a tree is a hundred thousand short hashes.
    private const int Short = 2 * 64 - 9;

    // Four big-endian words compare as the bytes would, without an array on the heap.
    private readonly ulong _a, _b, _c, _d;

    /// <exception cref="FormatException">not 32 bytes</exception>
    public Digest(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Size)
            throw new FormatException($"A digest has {Size} bytes, not {bytes.Length}.");
        _a = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        _b = BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
        _c = BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]);
        _d = BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]);
    }

    public static Digest Of(ReadOnlySpan<byte> data)
    {
        Span<byte> hash = stackalloc byte[Size];
        if (data.Length <= Short)
            NSec.Cryptography.HashAlgorithm.Sha256.Hash(data, hash);
        else
            SHA256.HashData(data, hash);
        return new Digest(hash);
    }

    /// <exception cref="FormatException">not 64 hexadecimal digits</exception>
    public static Digest ParseHex(ReadOnlySpan<char> text) => new(Convert.FromHexString(text));

    public void CopyTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, _a);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], _b);
        BinaryPrimitives.WriteUInt64BigEndian(destination[16..], _c);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], _d);
    }

    public byte[] ToArray()
    {
        var bytes = new byte[Size];
        CopyTo(bytes);
        return bytes;
    }

    public int CompareTo(Digest other)
    {
        var order = _a.CompareTo(other._a);
        if (order == 0) order = _b.CompareTo(other._b);
        if (order == 0) order = _c.CompareTo(other._c);
        return order == 0 ? _d.CompareTo(other._d) : order;
    }

    public static bool operator <(Digest left, Digest right) => left.CompareTo(right) < 0;

    public static bool operator >(Digest left, Digest right) => left.CompareTo(right) > 0;

    public static bool operator <=(Digest left, Digest right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Digest left, Digest right) => left.CompareTo(right) >= 0;

    public override string ToString() => Convert.ToHexStringLower(ToArray());
}
