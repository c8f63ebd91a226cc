using System.Buffers.Binary;

namespace Grid.Flists.Build;

/// <summary>One 512-byte header block: v7, POSIX ustar, and GNU (POSIX.1-1988 and -2001; GNU tar manual, "Basic Tar Format").</summary>
internal readonly ref struct TarHeader(ReadOnlySpan<byte> block)
{
    public const int Size = 512;

    private readonly ReadOnlySpan<byte> _block = block;

    public byte Type => _block[156];

    public bool IsUstar => _block.Slice(257, 6).SequenceEqual("ustar\0"u8);

    public bool IsGnu => _block.Slice(257, 8).SequenceEqual("ustar  \0"u8);

    /// <summary>The name with its prefix, raw.</summary>
    public byte[] Path()
    {
        var name = Text(0, 100);
        var prefix = IsUstar ? Text(345, 155) : default;
        return prefix.IsEmpty ? name.ToArray() : [.. prefix, (byte)'/', .. name];
    }

    public byte[] LinkTarget() => Text(157, 100).ToArray();

    public long Mode => Number(100, 8, "mode");

    public long Uid => Number(108, 8, "uid");

    public long Gid => Number(116, 8, "gid");

    public long DataLength => Number(124, 12, "size") is var size and >= 0 ? size : throw Bad("size", "negative");

    public long Mtime => Number(136, 12, "mtime");

    // v7 has no device fields; what lies there is anything.
    public long Major => IsUstar || IsGnu ? Number(329, 8, "device number") : 0;

    public long Minor => IsUstar || IsGnu ? Number(337, 8, "device number") : 0;

    /// <summary>The sum of all bytes with the checksum field as spaces; some old writers summed signed bytes.</summary>
    public bool HasRightChecksum()
    {
        if (!TryNumber(_block.Slice(148, 8), out var expected))
            return false;
        long unsigned = 8 * ' ', signed = 8 * ' ';
        for (var i = 0; i < Size; i++)
        {
            if (i is >= 148 and < 156)
                continue;
            unsigned += _block[i];
            signed += (sbyte)_block[i];
        }
        return expected == unsigned || expected == signed;
    }

    private ReadOnlySpan<byte> Text(int at, int length)
    {
        var field = _block.Slice(at, length);
        var end = field.IndexOf((byte)0);
        return end < 0 ? field : field[..end];
    }

    private long Number(int at, int length, string what) =>
        TryNumber(_block.Slice(at, length), out var value) ? value : throw Bad(what, "no number that fits");

    private static bool TryNumber(ReadOnlySpan<byte> field, out long value)
    {
        value = 0;
        if ((field[0] & 0x80) != 0)
            return TryBinary(field, out value);
        field = field.TrimStart((byte)' ');
        var digits = 0;
        while (digits < field.Length && field[digits] is >= (byte)'0' and <= (byte)'7')
            value = value << 3 | (long)(field[digits++] - '0');
        return !field[digits..].ContainsAnyExcept((byte)' ', (byte)0);
    }

    // GNU: the first bit says binary, the rest is a big-endian two's complement number.
    private static bool TryBinary(ReadOnlySpan<byte> field, out long value)
    {
        value = BinaryPrimitives.ReadInt64BigEndian(field[^8..]);
        if (field.Length == 8)
        {
            // Seven bits are left of the first byte; the second of them is the sign.
            value = value << 1 >> 1;
            return true;
        }
        var sign = value < 0 ? (byte)0xff : (byte)0;
        return !field[1..^8].ContainsAnyExcept(sign) && field[0] == (value < 0 ? 0xff : 0x80);
    }

    private static FlistBuildException Bad(string what, string why) => new(FlistBuildCode.BadHeader, $"A tar header's {what} is {why}.");
}
