using System.Buffers.Binary;
using System.Collections.Immutable;

namespace Grid.Workloads;

/// <summary>Whom an ELF file is for: only files of one kind are loaded together.</summary>
internal readonly record struct ElfKind(bool Is64, int Machine)
{
    // e_machine of the System V ABI.
    public const int I386 = 3;
    public const int X64 = 62;
    public const int Arm64 = 183;

    public bool IsKnown => (Is64, Machine) is (false, I386) or (true, X64) or (true, Arm64);
}

/// <summary>Why a file is not one the kernel or a dynamic loader would take.</summary>
internal sealed class ElfFormatException(string message) : FormatException(message);

/// <summary>
/// What the dynamic loader reads of an ELF file (System V ABI, chapters 4 and 5), little-endian. The checks are those of the kernel (fs/binfmt_elf.c) and
/// of glibc (elf/dl-load.c, open_verify) where they agree. Offsets, lengths and counts come from outside; each is held against the file and a limit.
/// </summary>
/// <param name="Needed">DT_NEEDED, and DT_FILTER, which glibc demands as well; in order</param>
internal sealed record ElfImage(
    ElfKind Kind, ElfSegment? Interpreter, ImmutableArray<string> Needed, string? Soname, string? Rpath, string? Runpath, bool NoDefaultDirectories)
{
    // fs/binfmt_elf.c, load_elf_phdrs: program headers take at most 64 KiB.
    private const int LargestHeaders = 65_536;
    private const int LargestDynamic = 1 << 20;
    private const int LongestName = 4096;
    private const int LongestPathList = 1 << 14;
    private const int MostNeeded = 4096;

    /// <summary>Null while bytes are missing.</summary>
    /// <exception cref="ElfFormatException"/>
    public static ElfKind? ReadKind(Evidence evidence, int inode) => ElfHeader.Read(evidence, inode)?.Kind;

    /// <summary>Null while bytes are missing.</summary>
    /// <exception cref="ElfFormatException"/>
    public static ElfImage? Read(Evidence evidence, int inode)
    {
        if (ElfHeader.Read(evidence, inode) is not { } header || ReadSegments(evidence, inode, header) is not { } segments)
            return null;
        // The kernel takes the first PT_INTERP; both loaders take the last PT_DYNAMIC.
        var interpreter = segments.Where(s => s.Type == ElfSegment.Interp).Cast<ElfSegment?>().FirstOrDefault();
        if (segments.Where(s => s.Type == ElfSegment.Dynamic).Cast<ElfSegment?>().LastOrDefault() is not { } dynamic)
            return new ElfImage(header.Kind, interpreter, [], null, null, null, false);
        return ReadTags(evidence, inode, header.Kind, segments, dynamic) is { } tags
            ? ReadTexts(evidence, inode, header.Kind, interpreter, segments, tags)
            : null;
    }

    /// <summary>What PT_INTERP says; null while bytes are missing.</summary>
    /// <exception cref="ElfFormatException"/>
    public static string? ReadInterpreter(Evidence evidence, int inode, ElfSegment segment)
    {
        // fs/binfmt_elf.c: 2 to PATH_MAX bytes, the last of them zero.
        if (segment.FileSize is < 2 or > 4096 || segment.Offset > evidence.Meta[inode].Size - segment.FileSize)
            throw new ElfFormatException("the name of its interpreter does not lie in it");
        if (!evidence.TryRead(inode, segment.Offset, (int)segment.FileSize, out var bytes))
            return null;
        return bytes.Span[^1] == 0
            ? RawPath.Of(bytes.Span[..bytes.Span.IndexOf((byte)0)])
            : throw new ElfFormatException("the name of its interpreter has no end");
    }

    private static List<ElfSegment>? ReadSegments(Evidence evidence, int inode, ElfHeader header)
    {
        var entry = header.Kind.Is64 ? 56 : 32;
        var length = header.SegmentCount * entry;
        if (header.SegmentSize != entry || length is 0 or > LargestHeaders || header.SegmentsAt > evidence.Meta[inode].Size - length)
            throw new ElfFormatException("its program headers do not lie in it");
        if (!evidence.TryRead(inode, header.SegmentsAt, length, out var bytes))
            return null;
        var segments = new List<ElfSegment>(header.SegmentCount);
        for (var at = 0; at < length; at += entry)
            segments.Add(ElfSegment.Read(bytes.Span.Slice(at, entry), header.Kind.Is64));
        return segments;
    }

    private static List<(long Tag, long Value)>? ReadTags(Evidence evidence, int inode, ElfKind kind, List<ElfSegment> segments, ElfSegment dynamic)
    {
        // The loader reads it where it is mapped, not where p_offset says.
        var at = OffsetOf(segments, dynamic.Address, evidence.Meta[inode].Size, out var room);
        var entry = kind.Is64 ? 16 : 8;
        var length = (int)long.Min(dynamic.FileSize, room) / entry * entry;
        if (dynamic.FileSize > LargestDynamic || length == 0)
            throw new ElfFormatException("its dynamic section does not lie in it");
        if (!evidence.TryRead(inode, at, length, out var bytes))
            return null;
        var tags = new List<(long, long)>();
        for (var i = 0; i < length; i += entry)
        {
            var s = bytes.Span.Slice(i, entry);
            var (tag, value) = kind.Is64
                ? (BinaryPrimitives.ReadInt64LittleEndian(s), BinaryPrimitives.ReadInt64LittleEndian(s[8..]))
                : (BinaryPrimitives.ReadInt32LittleEndian(s), BinaryPrimitives.ReadUInt32LittleEndian(s[4..]));
            if (tag == 0)
                return tags;
            tags.Add((tag, value));
        }
        throw new ElfFormatException("its dynamic section has no end");
    }

    private static ElfImage? ReadTexts(
        Evidence evidence, int inode, ElfKind kind, ElfSegment? interpreter, List<ElfSegment> segments, List<(long Tag, long Value)> tags)
    {
        const int Needed = 1, StringTable = 5, StringSize = 10, Soname = 14, Rpath = 15, Runpath = 29;
        const long Flags1 = 0x6ffffffb, Filter = 0x7fffffff, NoDefaultLibraries = 0x800;
        // A tag that comes twice counts as it came last, except those that list.
        long? Last(long tag) => tags.Where(t => t.Tag == tag).Select(t => (long?)t.Value).LastOrDefault();

        var wanted = tags.Where(t => t.Tag is Needed or Filter).Select(t => t.Value).ToList();
        if (wanted.Count > MostNeeded)
            throw new ElfFormatException($"it wants more than {MostNeeded} libraries");
        var (table, room) = (0L, 0L);
        if (Last(StringTable) is { } address)
        {
            table = OffsetOf(segments, address, evidence.Meta[inode].Size, out room);
            room = long.Min(room, Last(StringSize) is { } size and >= 0 ? size : 0);
        }

        var whole = true;
        string? Text(long? offset, int longest)
        {
            if (offset is not { } o)
                return null;
            if (o < 0 || o >= room)
                throw new ElfFormatException("a name in its dynamic section lies outside of its string table");
            var text = ReadText(evidence, inode, table + o, (int)long.Min(longest, room - o));
            whole &= text is not null;
            return text;
        }

        // All are tried before giving up, so that all that is missing is asked for at once.
        var needed = wanted.Select(o => Text(o, LongestName)).ToList();
        var (soname, rpath, runpath) = (Text(Last(Soname), LongestName), Text(Last(Rpath), LongestPathList), Text(Last(Runpath), LongestPathList));
        return whole
            ? new ElfImage(kind, interpreter, [.. needed.OfType<string>()], soname, rpath, runpath, ((Last(Flags1) ?? 0) & NoDefaultLibraries) != 0)
            : null;
    }

    private static string? ReadText(Evidence evidence, int inode, long offset, int longest)
    {
        for (var length = int.Min(longest, 256); ; length = int.Min(longest, length * 4))
        {
            if (!evidence.TryRead(inode, offset, length, out var bytes))
                return null;
            if (bytes.Span.IndexOf((byte)0) is var end and >= 0)
                return RawPath.Of(bytes.Span[..end]);
            if (length == longest)
                throw new ElfFormatException("a name in its dynamic section has no end");
        }
    }

    /// <summary>Where in the file the byte at an address is loaded from, and how many follow it.</summary>
    private static long OffsetOf(List<ElfSegment> segments, long address, long fileSize, out long room)
    {
        // Of segments that overlap the one mapped last is seen.
        for (var i = segments.Count - 1; i >= 0; i--)
        {
            var s = segments[i];
            if (s.Type != ElfSegment.Load || address < s.Address || address - s.Address >= s.FileSize)
                continue;
            var into = address - s.Address;
            if (s.Offset >= fileSize - into)
                break;
            room = long.Min(s.FileSize - into, fileSize - s.Offset - into);
            return s.Offset + into;
        }
        throw new ElfFormatException("an address in it is not loaded from it");
    }
}

internal readonly record struct ElfSegment(uint Type, long Offset, long Address, long FileSize)
{
    public const uint Load = 1;
    public const uint Dynamic = 2;
    public const uint Interp = 3;

    /// <exception cref="ElfFormatException">a number that no file reaches</exception>
    public static ElfSegment Read(ReadOnlySpan<byte> s, bool is64)
    {
        var segment = is64
            ? new ElfSegment(BinaryPrimitives.ReadUInt32LittleEndian(s), BinaryPrimitives.ReadInt64LittleEndian(s[8..]),
                BinaryPrimitives.ReadInt64LittleEndian(s[16..]), BinaryPrimitives.ReadInt64LittleEndian(s[32..]))
            : new ElfSegment(BinaryPrimitives.ReadUInt32LittleEndian(s), BinaryPrimitives.ReadUInt32LittleEndian(s[4..]),
                BinaryPrimitives.ReadUInt32LittleEndian(s[8..]), BinaryPrimitives.ReadUInt32LittleEndian(s[16..]));
        return segment.Type is Load or Dynamic or Interp && (segment.Offset < 0 || segment.FileSize < 0 || segment.Address < 0)
            ? throw new ElfFormatException("a segment lies outside of it")
            : segment;
    }
}

internal readonly record struct ElfHeader(ElfKind Kind, long SegmentsAt, int SegmentSize, int SegmentCount)
{
    private const int Size32 = 52;
    private const int Size64 = 64;

    public static bool IsElf(ReadOnlySpan<byte> head) => head.StartsWith("\x7f\x45LF"u8);

    public static ElfHeader? Read(Evidence evidence, int inode)
    {
        var size = evidence.Meta[inode].Size;
        if (size < Size32)
            throw new ElfFormatException("it is too short for an ELF file");
        if (!evidence.TryRead(inode, 0, (int)long.Min(size, Size64), out var bytes))
            return null;
        var s = bytes.Span;
        if (!IsElf(s))
            throw new ElfFormatException("it is no ELF file");
        var is64 = s[4] == 2;
        if (s[4] is not (1 or 2) || s[5] != 1 || s[6] != 1 || (is64 && s.Length < Size64))
            throw new ElfFormatException("it is no little-endian ELF file of 32 or 64 bits");
        if (BinaryPrimitives.ReadUInt16LittleEndian(s[16..]) is not (2 or 3))
            throw new ElfFormatException("it is neither a program nor a shared object");
        var kind = new ElfKind(is64, BinaryPrimitives.ReadUInt16LittleEndian(s[18..]));
        var tail = s[(is64 ? 54 : 42)..];
        var at = is64 ? BinaryPrimitives.ReadInt64LittleEndian(s[32..]) : BinaryPrimitives.ReadUInt32LittleEndian(s[28..]);
        return at >= 0
            ? new ElfHeader(kind, at, BinaryPrimitives.ReadUInt16LittleEndian(tail), BinaryPrimitives.ReadUInt16LittleEndian(tail[2..]))
            : throw new ElfFormatException("its program headers do not lie in it");
    }
}
