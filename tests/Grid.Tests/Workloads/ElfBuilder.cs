using System.Buffers.Binary;
using System.Text;

namespace Grid.Tests.Workloads;

/// <summary>
/// The smallest ELF files that the kernel maps and a dynamic loader reads: one segment, an interpreter's name, a dynamic section, no code.
/// </summary>
public sealed record ElfBuilder
{
    public const ushort X64 = 62, I386 = 3, Arm64 = 183;
    public const string GlibcLoader = "/lib64/ld-linux-x86-64.so.2";

    private const int Address = 0x20000;

    public ushort Machine { get; init; } = X64;

    public string? Interpreter { get; init; }

    public string[] Needed { get; init; } = [];

    public string? Soname { get; init; }

    public string? Rpath { get; init; }

    public string? Runpath { get; init; }

    public bool NoDefaultDirectories { get; init; }

    /// <summary>Bytes between the headers and the dynamic section, to put them into different chunks.</summary>
    public int Gap { get; init; }

    public static ElfBuilder Program(params string[] needed) => new() { Interpreter = GlibcLoader, Needed = needed };

    public static ElfBuilder Library(string? soname, params string[] needed) => new() { Soname = soname, Needed = needed };

    public static ElfBuilder Loader() => Library("ld-linux-x86-64.so.2");

    public byte[] Build()
    {
        var wide = Machine != I386;
        var (header, segment) = wide ? (64, 56) : (52, 32);
        var texts = new MemoryStream();
        texts.WriteByte(0);
        long Text(string value)
        {
            var at = texts.Length;
            texts.Write(Encoding.Latin1.GetBytes(value + "\0"));
            return at;
        }

        var tags = new List<(long Tag, long Value)>();
        tags.AddRange(Needed.Select(n => (1L, Text(n))));
        if (Soname is not null)
            tags.Add((14, Text(Soname)));
        if (Rpath is not null)
            tags.Add((15, Text(Rpath)));
        if (Runpath is not null)
            tags.Add((29, Text(Runpath)));
        if (NoDefaultDirectories)
            tags.Add((0x6ffffffb, 0x800));
        var interpreter = Interpreter is null ? [] : Encoding.Latin1.GetBytes(Interpreter + "\0");
        var interpreterAt = header + 4 * segment;
        var dynamicAt = (interpreterAt + interpreter.Length + Gap + 15) / 16 * 16;
        var dynamicSize = (tags.Count + 4) * (wide ? 16 : 8);
        var textsAt = dynamicAt + dynamicSize;
        var size = textsAt + (int)texts.Length;
        // A symbol table of one empty symbol, which glibc wants to be there.
        var symbolsAt = (size + 7) / 8 * 8;
        size = symbolsAt + 24;
        tags.AddRange([(5, Address + textsAt), (10, texts.Length), (6, Address + symbolsAt), (0, 0)]);

        var bytes = new byte[size];
        byte[] ident = [0x7f, (byte)'E', (byte)'L', (byte)'F', (byte)(wide ? 2 : 1), 1, 1];
        ident.CopyTo(bytes, 0);
        Half(16, 3);
        Half(18, Machine);
        Half(20, 1);
        Word(wide ? 32 : 28, header);
        Half(wide ? 52 : 40, (ushort)header);
        Half(wide ? 54 : 42, (ushort)segment);
        Half(wide ? 56 : 44, (ushort)(Interpreter is null ? 2 : 4));
        var first = 0;
        if (Interpreter is not null)
        {
            // From where the headers are said to be the loader knows where the program was put, so this comes first.
            Segment(first++, 6, header, 4 * segment);
            Segment(first++, 3, interpreterAt, interpreter.Length);
        }
        Segment(first++, 1, 0, size);
        Segment(first, 2, dynamicAt, dynamicSize);
        interpreter.CopyTo(bytes, interpreterAt);
        for (var i = 0; i < tags.Count; i++)
        {
            Word(dynamicAt + i * 2 * (wide ? 8 : 4), tags[i].Tag);
            Word(dynamicAt + (i * 2 + 1) * (wide ? 8 : 4), tags[i].Value);
        }
        texts.ToArray().CopyTo(bytes, textsAt);
        return bytes;

        void Half(int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(at), value);

        void Word(int at, long value)
        {
            if (wide)
                BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(at), value);
            else
                BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), (uint)value);
        }

        void Segment(int n, uint type, int offset, int length)
        {
            var at = header + n * segment;
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), type);
            var word = wide ? 8 : 4;
            if (wide)
                BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at + 4), 6);
            else
                BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at + 24), 6);
            long[] fields = [offset, Address + offset, Address + offset, length, length];
            for (var i = 0; i < fields.Length; i++)
                Word(at + word + i * word, fields[i]);
            Word(wide ? at + 48 : at + 28, type == 1 ? 0x1000 : 1);
        }
    }
}
