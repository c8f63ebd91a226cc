using System.Buffers.Binary;

namespace Grid.Node.Machines;

/// <summary>
/// The smallest guest that asks of a processor what a kernel asks: it switches on paging and long mode, takes an exception and returns from it, exchanges sixteen bytes
/// atomically, and counts so far that it is never done in time where every instruction is interpreted. Then it says <see cref="Said"/> at port 0xe9 and resets the
/// machine. It is loaded by its Multiboot header (Multiboot Specification 0.6.96 §3.1, "a.out kludge") and started in protected mode.
/// <code>
/// 100000  header, code            102000  page directory pointers     105000  the stack ends
/// 100100  GDT, and where it is    103000  page directory: 2 MiB       106000  IDT
/// 100130  what it says            104000  what is exchanged
/// </code>
/// </summary>
internal static class ProbeKernel
{
    public const string Said = "runs";

    /// <summary>Where it is said (the debug console of Bochs).</summary>
    public const int Port = 0xe9;

    private const int Base = 0x10_0000, Length = 0x7000, Magic = 0x1bad_b002, WithAddresses = 1 << 16;
    private const int Entry = 0x20, Undefined = 0xab, Gdt = 0x100, GdtPlace = 0x118, IdtPlace = 0x120, Text = 0x130, Tables = 0x1000, Idt = 0x6000;
    private const int InvalidOpcode = 6, CodeSegment = 8;

    // Present and writable; and of 2 MiB.
    private const ulong Table = 3, LargePage = 0x83;

    private static ReadOnlySpan<byte> Code =>
    [
        0x0f, 0x01, 0x15, 0x18, 0x01, 0x10, 0x00,             // lgdt [GdtPlace]
        0x0f, 0x20, 0xe0,                                     // mov eax, cr4
        0x0d, 0x20, 0x06, 0x00, 0x00,                         // or eax, PAE | OSFXSR | OSXMMEXCPT
        0x0f, 0x22, 0xe0,                                     // mov cr4, eax
        0xb8, 0x00, 0x10, 0x10, 0x00,                         // mov eax, Tables
        0x0f, 0x22, 0xd8,                                     // mov cr3, eax
        0xb9, 0x80, 0x00, 0x00, 0xc0,                         // mov ecx, IA32_EFER
        0x0f, 0x32,                                           // rdmsr
        0x0d, 0x00, 0x01, 0x00, 0x00,                         // or eax, LME
        0x0f, 0x30,                                           // wrmsr
        0x0f, 0x20, 0xc0,                                     // mov eax, cr0
        0x0d, 0x01, 0x00, 0x01, 0x80,                         // or eax, PG | WP | PE
        0x0f, 0x22, 0xc0,                                     // mov cr0, eax
        0xea, 0x5a, 0x00, 0x10, 0x00, 0x08, 0x00,             // jmp CodeSegment:long
        0xb8, 0x10, 0x00, 0x00, 0x00,                         // long: mov eax, 16
        0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0,                   // mov ds, eax; mov es, eax; mov ss, eax
        0xbc, 0x00, 0x50, 0x10, 0x00,                         // mov esp, 105000h
        0x0f, 0x01, 0x1c, 0x25, 0x20, 0x01, 0x10, 0x00,       // lidt [IdtPlace]
        0x0f, 0x0b,                                           // ud2
        0x31, 0xc0, 0x31, 0xd2,                               // xor eax, eax; xor edx, edx
        0x8d, 0x58, 0x01, 0x89, 0xd1,                         // lea ebx, [rax+1]; mov ecx, edx
        0xf0, 0x48, 0x0f, 0xc7, 0x0c, 0x25, 0x00, 0x40, 0x10, 0x00, // lock cmpxchg16b [104000h]
        0x75, 0x17,                                           // jnz stop
        0xb9, 0x00, 0xc2, 0xeb, 0x0b,                         // mov ecx, 200000000
        0xff, 0xc9, 0x75, 0xfc,                               // count: dec ecx; jnz count
        0xbe, 0x30, 0x01, 0x10, 0x00,                         // mov esi, Text
        0xb1, 0x05,                                           // mov cl, 5
        0xba, 0xe9, 0x00, 0x00, 0x00,                         // mov edx, Port
        0xf3, 0x6e,                                           // rep outsb
        0xba, 0xf9, 0x0c, 0x00, 0x00,                         // stop: mov edx, 0cf9h, the chipset's reset control
        0xb0, 0x06, 0xee,                                     // mov al, 6; out dx, al
        0xf4, 0xeb, 0xfd,                                     // hlt; jmp to it
        0x48, 0x83, 0x04, 0x24, 0x02,                         // Undefined: add qword [rsp], 2
        0x48, 0xcf,                                           // iretq
    ];

    public static byte[] Image()
    {
        var image = new byte[Length];
        int[] header = [Magic, WithAddresses, -(Magic + WithAddresses), Base, Base, Base + Length, Base + Length, Base + Entry];
        for (var i = 0; i < header.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(i * 4), header[i]);
        Code.CopyTo(image.AsSpan(Entry));
        Write(image, Gdt, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff);
        Place(image, GdtPlace, 3 * 8, Gdt);
        Place(image, IdtPlace, (InvalidOpcode + 1) * 16, Idt);
        System.Text.Encoding.ASCII.GetBytes(Said + "\n", image.AsSpan(Text));
        Write(image, Tables, Base + 0x2000 | Table);
        Write(image, 0x2000, Base + 0x3000 | Table);
        Write(image, 0x3000, LargePage);
        // An interrupt gate: present, of 64 bits.
        const ulong handler = Base + Undefined;
        Write(image, Idt + InvalidOpcode * 16, handler & 0xffff | (ulong)CodeSegment << 16 | 0x8e00UL << 32 | handler >> 16 << 48, handler >> 32);
        return image;
    }

    // As lgdt and lidt read it: the last byte of the table, and where it begins.
    private static void Place(byte[] image, int at, int length, int table)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(at), (ushort)(length - 1));
        BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(at + 2), Base + table);
    }

    private static void Write(byte[] image, int at, params ReadOnlySpan<ulong> values)
    {
        for (var i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(at + i * 8), values[i]);
    }
}
