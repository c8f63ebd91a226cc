using System.Buffers.Binary;

namespace Grid.Statements;

/// <summary>The eight major types of CBOR (RFC 8949 §3.1): the upper three bits of a value's first byte.</summary>
internal enum CborMajor
{
    Unsigned, Negative, Bytes, Text, Array, Map, Tag, Simple,
}

/// <summary>Walks over deterministic CBOR value by value; refuses what has a shorter or another form, and what goes beyond the end.</summary>
internal struct CborScanner(ReadOnlyMemory<byte> data)
{
    public const int MaximumDepth = 16;

    private const byte False = 0xf4;
    private const byte True = 0xf5;
    private const byte Null = 0xf6;

    public int Position { get; private set; }

    public readonly int Left => data.Length - Position;

    /// <summary>The type of the value that stands here.</summary>
    public readonly CborMajor Major => (CborMajor)(Initial() >> 5);

    /// <summary>The bytes from a position on that was passed already.</summary>
    public readonly ReadOnlyMemory<byte> Since(int start) => data[start..Position];

    public readonly ReadOnlySpan<byte> Between(int start, int end) => data.Span[start..end];

    /// <summary>The argument of a value that must be of this type; for a number it is the number.</summary>
    public ulong Head(CborMajor wanted) => Major is var major && major == wanted ? Argument() : throw CanonicalReader.Malformed($"{wanted} is wanted, {major} is there.");

    /// <summary>The length of a string, array or map; a byte for each of what it counts is there.</summary>
    public int Count(CborMajor wanted)
    {
        var count = Head(wanted);
        return count <= (ulong)Left / (wanted == CborMajor.Map ? 2UL : 1UL) ? (int)count : throw CanonicalReader.Malformed("A length goes beyond the end.");
    }

    public ReadOnlyMemory<byte> Bytes() => Take(Count(CborMajor.Bytes));

    public ReadOnlySpan<byte> Utf8(int maximumBytes)
    {
        var length = Count(CborMajor.Text);
        if (length > maximumBytes)
            throw new StatementFormatException(RefusalCode.TooLarge, $"A text is longer than {maximumBytes} bytes.");
        var text = Take(length).Span;
        return System.Text.Unicode.Utf8.IsValid(text) ? text : throw CanonicalReader.Malformed("A text is not UTF-8.");
    }

    /// <summary>Passes a value. Everything inside is looked at, whatever it is worth to the reader.</summary>
    /// <param name="depth">how many values are around it</param>
    public void Skip(int depth)
    {
        if (depth > MaximumDepth)
            throw TooDeep();
        switch (Major)
        {
            case CborMajor.Unsigned or CborMajor.Negative:
                Argument();
                break;
            case CborMajor.Bytes:
                Bytes();
                break;
            case CborMajor.Text:
                Utf8(int.MaxValue);
                break;
            case CborMajor.Array:
                for (var left = Count(CborMajor.Array); left > 0; left--)
                    Skip(depth + 1);
                break;
            case CborMajor.Map:
                var before = default(ReadOnlySpan<byte>);
                for (var left = Count(CborMajor.Map); left > 0; left--)
                {
                    var key = Position;
                    Skip(depth + 1);
                    before = Following(before, key);
                    Skip(depth + 1);
                }
                break;
            case CborMajor.Tag:
                Argument();
                Skip(depth + 1);
                break;
            default:
                if (Initial() is not (False or True or Null))
                    throw CanonicalReader.Malformed("Floats and other simple values than false, true and null are not allowed.");
                Position++;
                break;
        }
    }

    public bool TryNull()
    {
        if (Initial() != Null)
            return false;
        Position++;
        return true;
    }

    /// <summary>The key that begins at <paramref name="start"/> and ends here, encoded.</summary>
    /// <param name="before">the key before it in the same map; nothing for the first</param>
    // RFC 8949 §4.2.1: in the bytewise order of their encodings, which begin with the length.
    public readonly ReadOnlySpan<byte> Following(ReadOnlySpan<byte> before, int start)
    {
        var key = data.Span[start..Position];
        return before.SequenceCompareTo(key) < 0 ? key : throw CanonicalReader.Malformed("The keys of a map must be sorted and unique.");
    }

    public static StatementFormatException TooDeep() => new(RefusalCode.TooLarge, $"Values are nested deeper than {MaximumDepth}.");

    private readonly byte Initial() => Position < data.Length ? data.Span[Position] : throw CanonicalReader.Malformed("The bytes end within a value.");

    private ulong Argument()
    {
        var info = Initial() & 0b11111;
        Position++;
        if (info < 24)
            return (ulong)info;
        if (info > 27)
            throw CanonicalReader.Malformed("Indefinite lengths are not allowed.");
        var size = 1 << (info - 24);
        if (Left < size)
            throw CanonicalReader.Malformed("The bytes end within a value.");
        var bytes = data.Span.Slice(Position, size);
        Position += size;
        var (value, smallest) = size switch
        {
            1 => (bytes[0], 24UL),
            2 => (BinaryPrimitives.ReadUInt16BigEndian(bytes), 0x100UL),
            4 => (BinaryPrimitives.ReadUInt32BigEndian(bytes), 0x1_0000UL),
            _ => (BinaryPrimitives.ReadUInt64BigEndian(bytes), 0x1_0000_0000UL),
        };
        return value >= smallest ? value : throw CanonicalReader.Malformed($"The number {value} is not written as shortly as it can be.");
    }

    private ReadOnlyMemory<byte> Take(int length)
    {
        Position += length;
        return data.Slice(Position - length, length);
    }
}
