using System.Buffers.Binary;

namespace Grid.Flists.Zstd;

/// <summary>What a frame says about itself before any of it is decoded (RFC 8878 §3.1.1.1).</summary>
/// <param name="WindowSize">bytes a decoder must be able to look back on</param>
/// <param name="ContentSize">bytes of content, if stated</param>
public readonly record struct ZstdFrameHeader(long WindowSize, long? ContentSize)
{
    private const uint Magic = 0xFD2FB528;

    /// <exception cref="ZstdFormatException">not the start of a frame, or one that needs a dictionary</exception>
    public static ZstdFrameHeader Read(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 6 || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic)
            throw new ZstdFormatException("The bytes do not begin a zstd frame.");
        var descriptor = bytes[4];
        var singleSegment = (descriptor & 0x20) != 0;
        if ((descriptor & 0x08) != 0 || (descriptor & 0x03) != 0)
            throw new ZstdFormatException("The frame sets a reserved bit or needs a dictionary.");
        var at = 5;
        long window = 0;
        if (!singleSegment)
        {
            var (exponent, mantissa) = (bytes[at] >> 3, bytes[at] & 7);
            window = (1L << (10 + exponent)) + ((1L << (10 + exponent)) / 8 * mantissa);
            at++;
        }
        var length = (descriptor >> 6) switch { 0 => singleSegment ? 1 : 0, 1 => 2, 2 => 4, _ => 8 };
        if (bytes.Length < at + length)
            throw new ZstdFormatException("The frame ends within its header.");
        var field = bytes[at..];
        ulong? size = length switch
        {
            0 => null,
            1 => field[0],
            2 => BinaryPrimitives.ReadUInt16LittleEndian(field) + 256UL,
            4 => BinaryPrimitives.ReadUInt32LittleEndian(field),
            _ => BinaryPrimitives.ReadUInt64LittleEndian(field),
        };
        if (size > long.MaxValue)
            throw new ZstdFormatException("The frame says it holds more than 2⁶³ bytes.");
        return new ZstdFrameHeader(singleSegment ? (long)size!.Value : window, (long?)size);
    }
}
