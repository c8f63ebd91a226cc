using System.Buffers.Binary;
using Grid.Units;

namespace Grid.Flists;

/// <summary>The header of a meta file and where its seven sections lie; the sizes alone decide that (FORMAT.md, Header).</summary>
internal readonly record struct MetaLayout(
    int Inodes, int References, int Chunks, int Directories, int XattrSets, int NamesLength, int TargetsLength, int XattrsLength)
{
    public const int HeaderSize = 192;
    public const int SectionCount = 7;

    private const uint Version = 1;
    private const byte Sha256 = 1;
    private const int SectionTable = 40;
    private const int RootAt = SectionTable + SectionCount * 16;

    public static ReadOnlySpan<byte> Magic => "FLISTM1\0"u8;

    public long LengthOf(int section) => section switch
    {
        0 => (long)Inodes * MetaInode.ByteSize,
        1 => (long)References * 4,
        2 => (long)Chunks * Digest.Size,
        3 => (long)Directories * Digest.Size,
        4 => NamesLength,
        5 => TargetsLength,
        _ => XattrsLength,
    };

    /// <summary>Sections follow one another in order, each on a multiple of eight bytes.</summary>
    public long OffsetOf(int section)
    {
        long at = HeaderSize;
        for (var i = 0; i < section; i++)
            at += Aligned(LengthOf(i));
        return at;
    }

    public long FileLength => OffsetOf(SectionCount - 1) + Aligned(XattrsLength);

    public static Digest Root(ReadOnlySpan<byte> file) => new(file.Slice(RootAt, Digest.Size));

    public static void WriteRoot(Span<byte> file, Digest root) => root.CopyTo(file[RootAt..]);

    public void Write(Span<byte> file)
    {
        Magic.CopyTo(file);
        BinaryPrimitives.WriteUInt32LittleEndian(file[8..], Version);
        file[12] = Sha256;
        file[13] = Chunk.SizeLog2;
        BinaryPrimitives.WriteInt64LittleEndian(file[16..], FileLength);
        BinaryPrimitives.WriteInt32LittleEndian(file[24..], Inodes);
        BinaryPrimitives.WriteInt32LittleEndian(file[28..], Chunks);
        BinaryPrimitives.WriteInt32LittleEndian(file[32..], Directories);
        BinaryPrimitives.WriteInt32LittleEndian(file[36..], XattrSets);
        for (var i = 0; i < SectionCount; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(file[(SectionTable + i * 16)..], OffsetOf(i));
            BinaryPrimitives.WriteInt64LittleEndian(file[(SectionTable + i * 16 + 8)..], LengthOf(i));
        }
    }

    /// <summary>Reads the header and refuses every byte of it that <see cref="Write"/> would not write, and every gap that is not zero.</summary>
    /// <exception cref="FlistFormatException"/>
    public static MetaLayout Read(ReadOnlySpan<byte> file)
    {
        if (file.Length < 8 || !file[..8].SequenceEqual(Magic))
            throw new FlistFormatException(FlistFormatCode.BadMagic, "This is no flist meta file: its first eight bytes are not 'FLISTM1'.");
        if (file.Length < HeaderSize)
            throw new FlistFormatException(FlistFormatCode.BadLength, $"A meta file has at least {HeaderSize} bytes; this one has {file.Length}.");
        if (BinaryPrimitives.ReadUInt32LittleEndian(file[8..]) is var version and not Version)
            throw new FlistFormatException(FlistFormatCode.UnknownVersion, $"Meta file version {version} is not known; {Version} is.");
        if (file[12] != Sha256 || file[13] != Chunk.SizeLog2)
            throw new FlistFormatException(FlistFormatCode.UnknownHash, $"Hash {file[12]} over chunks of 2^{file[13]} bytes is not known; SHA-256 (1) over 2^18 is.");
        if (BinaryPrimitives.ReadUInt16LittleEndian(file[14..]) is var flags and not 0)
            throw new FlistFormatException(FlistFormatCode.UnknownFlags, $"The flags {flags:x} are not known.");
        if (BinaryPrimitives.ReadInt64LittleEndian(file[16..]) is var length && length != file.Length)
            throw new FlistFormatException(FlistFormatCode.BadLength, $"The meta file says it has {length} bytes; {file.Length} are there.");

        var layout = new MetaLayout(
            Count(file, 24), (int)(Length(file, 1) / 4), Count(file, 28), Count(file, 32), Count(file, 36),
            (int)Length(file, 4), (int)Length(file, 5), (int)Length(file, 6));
        for (var i = 0; i < SectionCount; i++)
        {
            if (Length(file, i) != layout.LengthOf(i) || BinaryPrimitives.ReadInt64LittleEndian(file[(SectionTable + i * 16)..]) != layout.OffsetOf(i))
                throw Section($"Section {i} does not lie where its size and its neighbours put it.");
        }
        if (layout.FileLength != file.Length)
            throw Section($"The sections end at {layout.FileLength}; the file has {file.Length} bytes.");
        if (layout.Inodes == 0)
            throw new FlistFormatException(FlistFormatCode.BadTree, "A tree has at least its root.");
        for (var i = 0; i < SectionCount; i++)
        {
            var end = layout.OffsetOf(i) + layout.LengthOf(i);
            if (file[(int)end..(int)Aligned(end)].ContainsAnyExcept((byte)0))
                throw Section($"The space after section {i} is not zero.");
        }
        if (file[(RootAt + Digest.Size)..HeaderSize].ContainsAnyExcept((byte)0))
            throw Section("The end of the header is not zero.");
        return layout;
    }

    private static int Count(ReadOnlySpan<byte> file, int at) => BinaryPrimitives.ReadUInt32LittleEndian(file[at..]) is var count && count <= int.MaxValue / Digest.Size
        ? (int)count
        : throw new FlistFormatException(FlistFormatCode.TooLarge, $"A meta file cannot hold {count} records.");

    private static long Length(ReadOnlySpan<byte> file, int section)
    {
        var length = BinaryPrimitives.ReadInt64LittleEndian(file[(SectionTable + section * 16 + 8)..]);
        return length >= 0 && length <= file.Length ? length : throw Section($"Section {section} is longer than the file.");
    }

    private static long Aligned(long length) => (length + 7) & ~7L;

    private static FlistFormatException Section(string message) => new(FlistFormatCode.BadSection, message);
}
