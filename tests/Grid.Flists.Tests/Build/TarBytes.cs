using System.Buffers;
using System.Globalization;
using System.Text;
using Grid.Flists.Tests.Identity;

namespace Grid.Flists.Tests.Build;

public enum TarFormat
{
    Ustar,
    Gnu,
    Pax,
}

/// <summary>Writes archives for tests, well-formed or, header by header, not.</summary>
internal sealed class TarBytes(TarFormat format)
{
    private readonly ArrayBufferWriter<byte> _bytes = new();

    /// <summary>An archive of the entries in a random order in which only a hard link's target comes before it.</summary>
    public static byte[] Of(IReadOnlyList<SketchEntry> entries, TarFormat format, int? shuffle = null, Action<TarBytes>? first = null)
    {
        var tar = new TarBytes(format);
        first?.Invoke(tar);
        SketchEntry[] order = [.. entries];
        if (shuffle is { } seed)
            new Random(seed).Shuffle(order);
        var written = new Dictionary<string, byte[]>();
        foreach (var e in order)
        {
            var inode = Convert.ToHexString((e.LinkTo ?? e).Path);
            if (e.Type != EntryType.Directory && written.TryGetValue(inode, out var target))
                tar.Header(e, '1', target, 0);
            else
                tar.Entry(e);
            written.TryAdd(inode, e.Path);
        }
        return tar.End();
    }

    public TarBytes Entry(SketchEntry e)
    {
        var type = e.Type switch
        {
            EntryType.File => '0',
            EntryType.Symlink => '2',
            EntryType.CharacterDevice => '3',
            EntryType.BlockDevice => '4',
            EntryType.Directory => '5',
            _ => '6',
        };
        Header(e, type, e.Target, e.Data.Length);
        Data(e.Data);
        return this;
    }

    public void Header(SketchEntry e, char type, byte[] target, long size)
    {
        byte[] path = e.Path.Length == 0 ? [(byte)'.', (byte)'/'] : type == '5' ? [.. e.Path, (byte)'/'] : e.Path;
        if (format == TarFormat.Pax)
        {
            var records = new MemoryStream();
            Record(records, "path", path);
            if (target.Length > 0)
                Record(records, "linkpath", target);
            Record(records, "uid", Text(e.Uid));
            Record(records, "mtime", Encoding.ASCII.GetBytes(Mtime(e.Mtime)));
            foreach (var (name, value) in type == '1' ? [] : e.Xattrs)
                Record(records, "SCHILY.xattr." + Encoding.Latin1.GetString(name).Replace("%", "%25", StringComparison.Ordinal).Replace("=", "%3D", StringComparison.Ordinal), value);
            Extended('x', records.ToArray());
            path = "short"u8.ToArray();
            target = target.Length > 100 ? [] : target;
        }
        else if (format == TarFormat.Gnu)
        {
            if (target.Length > 100)
                Extended('K', [.. target, 0]);
            if (path.Length > 100)
                Extended('L', [.. path, 0]);
            (path, target) = (path[..int.Min(100, path.Length)], target[..int.Min(100, target.Length)]);
        }
        Raw(path, type, target, e, size);
    }

    // Half a second later, which is dropped; POSIX writes times before 1970 with a minus before the whole number.
    private static string Mtime(long seconds) => ((decimal)seconds + 0.5m).ToString(CultureInfo.InvariantCulture);

    public TarBytes Extended(char type, byte[] data)
    {
        Raw("././@Ext"u8.ToArray(), type, [], new SketchEntry([], EntryType.File), data.Length);
        return Data(data);
    }

    public TarBytes Data(byte[] data)
    {
        _bytes.Write(data);
        _bytes.Write(new byte[(512 - data.Length % 512) % 512]);
        return this;
    }

    public static void Record(Stream into, string key, byte[] value)
    {
        var length = key.Length + value.Length + 3;
        while (length.ToString(CultureInfo.InvariantCulture).Length + key.Length + value.Length + 3 != length)
            length++;
        into.Write(Encoding.Latin1.GetBytes($"{length} {key}="));
        into.Write(value);
        into.WriteByte((byte)'\n');
    }

    public TarBytes Raw(byte[] path, char type, byte[] target, SketchEntry e, long size, Action<byte[]>? change = null)
    {
        var block = new byte[512];
        path.AsSpan(0, int.Min(path.Length, 100)).CopyTo(block);
        Number(block.AsSpan(100, 8), e.Mode);
        Number(block.AsSpan(108, 8), format == TarFormat.Pax ? 0 : e.Uid);
        Number(block.AsSpan(116, 8), e.Gid);
        Number(block.AsSpan(124, 12), size);
        Number(block.AsSpan(136, 12), format == TarFormat.Pax ? 0 : e.Mtime);
        block[156] = (byte)type;
        target.AsSpan(0, int.Min(target.Length, 100)).CopyTo(block.AsSpan(157));
        (format == TarFormat.Gnu ? "ustar  \0"u8 : "ustar\000"u8).CopyTo(block.AsSpan(257));
        change?.Invoke(block);
        block.AsSpan(148, 8).Fill((byte)' ');
        Encoding.ASCII.GetBytes(Convert.ToString(block.Sum(b => b), 8).PadLeft(6, '0') + "\0 ").CopyTo(block, 148);
        _bytes.Write(block);
        return this;
    }

    public byte[] End()
    {
        _bytes.Write(new byte[1024]);
        return _bytes.WrittenSpan.ToArray();
    }

    public byte[] WithoutEnd() => _bytes.WrittenSpan.ToArray();

    private static byte[] Text(long number) => Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture));

    private static void Number(Span<byte> field, long value)
    {
        var digits = Convert.ToString(value, 8);
        if (value >= 0 && digits.Length < field.Length)
        {
            Encoding.ASCII.GetBytes(digits.PadLeft(field.Length - 1, '0')).CopyTo(field);
            return;
        }
        // GNU: binary, big-endian, marked by the first bit.
        for (var i = field.Length - 1; i >= 0; i--, value >>= 8)
            field[i] = (byte)value;
        field[0] |= 0x80;
    }
}
