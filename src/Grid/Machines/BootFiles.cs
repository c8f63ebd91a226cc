using System.Buffers.Binary;
using System.Text;
using Grid.Flists;
using Grid.Workloads;

namespace Grid.Machines;

/// <summary>
/// What a machine boots from: its kernel and its initial RAM disk are regular files of the flist, named without links, and are what they are called.
/// There is no default on any node, so what these two are not, nothing else is.
/// </summary>
internal sealed class BootFiles(Machine machine, Evidence evidence, RefusalSet refusals, ISet<string> files)
{
    private const string Code = RefusalCode.KernelNotDescribed;

    // Documentation/arch/x86/boot.rst: the setup header lies between 0x1f1 and 0x268.
    private const int SetupHeader = 0x268;

    // Largest segment of notes that is read, and program headers: a kernel has some ten.
    private const int LargestNotes = 65_536, MostSegments = 64;

    // xen/include/public/elfnote.h: the 32-bit entry point by which a virtual machine monitor starts a kernel (PVH).
    private const uint Phys32Entry = 18;

    /// <summary>The beginnings of what the kernel unpacks (lib/decompress.c, init/initramfs.c).</summary>
    private static readonly byte[][] Archives =
    [
        [.. "070701"u8], [.. "070702"u8], [0x1f, 0x8b], [0x1f, 0x9e], [0x42, 0x5a], [0x5d, 0x00], [0xfd, 0x37], [0x89, 0x4c], [0x02, 0x21], [0x28, 0xb5],
    ];

    public void Check()
    {
        var kernel = Find("kernel", machine.Kernel, "kernel");
        var initrd = Find("initrd", machine.Initrd, "initial RAM disk");
        if (kernel is { } k && initrd is { } i && evidence.Meta[k].Size + evidence.Meta[i].Size > machine.Memory.Value / 2)
            refusals.Add(RefusalCode.SizeInvalid, $"'{machine.Name}' has {machine.Memory} of memory, of which kernel and initial RAM disk would take more than half.", "Give it more.", "memory");
        if (kernel is { } bytes)
            CheckKernel(bytes);
        if (initrd is { } archive)
            CheckArchive(archive);
    }

    private int? Find(string field, string path, string what)
    {
        var at = 0;
        foreach (var part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!evidence.Step())
                return null;
            at = evidence.Meta[at].Type == EntryType.Directory ? evidence.Meta.Lookup(at, Encoding.UTF8.GetBytes(part)) : -1;
            if (at < 0)
            {
                refusals.Add(Code, $"The {what} '{path}' of '{machine.Name}' is not in the flist.", field: field);
                return null;
            }
        }
        if (evidence.Meta[at].Type == EntryType.Symlink)
            refusals.Add(Code, $"The {what} '{path}' of '{machine.Name}' is a link.", "Name the file itself.", field);
        else if (evidence.Meta[at].Type != EntryType.File)
            refusals.Add(Code, $"The {what} '{path}' of '{machine.Name}' is not a regular file.", field: field);
        else
            return Describe(path, at);
        return null;
    }

    private int Describe(string path, int inode)
    {
        files.Add(RawPath.Of(path));
        return inode;
    }

    private void CheckKernel(int inode)
    {
        var size = evidence.Meta[inode].Size;
        if (!evidence.TryRead(inode, 0, (int)long.Min(size, SetupHeader), out var head))
            return;
        if (IsBzImage(head.Span))
            return;
        var why = "it is neither a bzImage nor an ELF file";
        if (ElfHeader.IsElf(head.Span))
        {
            try
            {
                if (HasEntry(inode) is not false)
                    return;
                why = "no note in it says where it is entered (PVH)";
            }
            catch (ElfFormatException e)
            {
                why = e.Message;
            }
        }
        refusals.Add(Code, $"The kernel '{machine.Kernel}' of '{machine.Name}' is none: {why}.", field: "kernel");
    }

    // boot_flag, header, version and LOADED_HIGH of the setup header: what makes it more than a boot sector.
    private static bool IsBzImage(ReadOnlySpan<byte> head) => head.Length == SetupHeader
        && BinaryPrimitives.ReadUInt16LittleEndian(head[0x1fe..]) == 0xaa55 && head[0x202..].StartsWith("HdrS"u8)
        && BinaryPrimitives.ReadUInt16LittleEndian(head[0x206..]) >= 0x0206 && (head[0x211] & 1) != 0;

    /// <returns>null while bytes are missing</returns>
    private bool? HasEntry(int inode)
    {
        if (ElfHeader.Read(evidence, inode) is not { } header)
            return null;
        var entry = header.Kind.Is64 ? 56 : 32;
        if (header.Kind.Machine is not (ElfKind.X64 or ElfKind.I386) || header.SegmentSize != entry || header.SegmentCount is 0 or > MostSegments
            || header.SegmentsAt > evidence.Meta[inode].Size - header.SegmentCount * entry)
            throw new ElfFormatException("its program headers are not an x86 kernel's");
        if (!evidence.TryRead(inode, header.SegmentsAt, header.SegmentCount * entry, out var table))
            return null;
        for (var i = 0; i < header.SegmentCount; i++)
        {
            const uint Note = 4;
            var segment = ElfSegment.Read(table.Span.Slice(i * entry, entry), header.Kind.Is64);
            if (segment.Type != Note)
                continue;
            if (segment.FileSize is < 0 or > LargestNotes || segment.Offset < 0 || segment.Offset > evidence.Meta[inode].Size - segment.FileSize)
                throw new ElfFormatException("its notes do not lie in it");
            if (!evidence.TryRead(inode, segment.Offset, (int)segment.FileSize, out var notes))
                return null;
            if (HasEntry(notes.Span))
                return true;
        }
        return false;
    }

    // Each note: length of its name, length of its content, type; then both, padded to four bytes (System V ABI, chapter 5).
    private static bool HasEntry(ReadOnlySpan<byte> notes)
    {
        while (notes.Length >= 12)
        {
            var (name, content, type) = (BinaryPrimitives.ReadUInt32LittleEndian(notes), BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]), BinaryPrimitives.ReadUInt32LittleEndian(notes[8..]));
            if (name > LargestNotes || content > LargestNotes)
                return false;
            var length = 12 + Padded(name) + Padded(content);
            if (length > notes.Length)
                return false;
            if (type == Phys32Entry && content is 4 or 8 && notes.Slice(12, (int)name).SequenceEqual("Xen\0"u8))
                return true;
            notes = notes[length..];
        }
        return false;
    }

    private static int Padded(uint length) => (int)((length + 3) & ~3u);

    private void CheckArchive(int inode)
    {
        if (!evidence.TryRead(inode, 0, (int)long.Min(evidence.Meta[inode].Size, 6), out var head))
            return;
        if (!Archives.Any(a => head.Span.StartsWith(a)))
            refusals.Add(Code, $"The initial RAM disk '{machine.Initrd}' of '{machine.Name}' is none: it begins like no archive that a kernel unpacks.", field: "initrd");
    }
}
