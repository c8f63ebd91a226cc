using System.Buffers.Binary;

namespace Grid.Tests.Workloads;

/// <summary>ELF files with one note, as uncompressed kernels have them.</summary>
internal static class MachineKernels
{
    /// <param name="type">18 is the entry by which a virtual machine monitor starts it</param>
    /// <param name="content">what the note says its content's length is</param>
    public static byte[] Elf(uint type, uint content = 8)
    {
        const int Header = 64, Segment = 56, Note = 12 + 4 + 8;
        var file = new byte[Header + Segment + Note];
        var s = file.AsSpan();
        "\x7f\x45LF"u8.CopyTo(s);
        (s[4], s[5], s[6]) = (2, 1, 1);
        BinaryPrimitives.WriteUInt16LittleEndian(s[16..], 2);
        BinaryPrimitives.WriteUInt16LittleEndian(s[18..], 62);
        BinaryPrimitives.WriteInt64LittleEndian(s[32..], Header);
        BinaryPrimitives.WriteUInt16LittleEndian(s[54..], Segment);
        BinaryPrimitives.WriteUInt16LittleEndian(s[56..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(s[Header..], 4);
        BinaryPrimitives.WriteInt64LittleEndian(s[(Header + 8)..], Header + Segment);
        BinaryPrimitives.WriteInt64LittleEndian(s[(Header + 32)..], Note);
        var note = s[(Header + Segment)..];
        BinaryPrimitives.WriteUInt32LittleEndian(note, 4);
        BinaryPrimitives.WriteUInt32LittleEndian(note[4..], content);
        BinaryPrimitives.WriteUInt32LittleEndian(note[8..], type);
        "Xen\0"u8.CopyTo(note[12..]);
        return file;
    }
}
