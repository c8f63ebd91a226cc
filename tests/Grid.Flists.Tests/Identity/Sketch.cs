using System.Text;

namespace Grid.Flists.Tests.Identity;

/// <summary>One name of a tree as a test wants it. Paths are raw, relative, without a slash at either end; the root's is empty.</summary>
public sealed record SketchEntry(byte[] Path, EntryType Type)
{
    public int Mode { get; init; } = 0x1ed;
    public uint Uid { get; init; }
    public uint Gid { get; init; }
    public long Mtime { get; init; }
    public byte[] Data { get; init; } = [];
    public byte[] Target { get; init; } = [];
    public uint Rdev { get; init; }
    public List<(byte[] Name, byte[] Value)> Xattrs { get; init; } = [];

    /// <summary>The entry whose inode this is another name of; it stands before this one.</summary>
    public SketchEntry? LinkTo { get; init; }

    public byte[] Name => Path[(Path.AsSpan().LastIndexOf((byte)'/') + 1)..];

    public byte[] Directory => Path.AsSpan().LastIndexOf((byte)'/') is var slash and >= 0 ? Path[..slash] : [];
}

/// <summary>A random tree from a seed: everything a tree can have, parents before children, the root first.</summary>
public static class Sketch
{
    private static readonly int[] Sizes = [0, 1, 100, 4096, 65_536, Chunk.Size - 1, Chunk.Size, Chunk.Size + 1, 3 * Chunk.Size + 17];

    /// <param name="plain">only what ustar can say</param>
    public static List<SketchEntry> Of(int seed, bool plain = false)
    {
        var random = new Random(seed);
        var entries = new List<SketchEntry> { Attributed(new SketchEntry([], EntryType.Directory), random, plain) };
        var directories = new List<SketchEntry> { entries[0] };
        var paths = new HashSet<string>();
        var files = new List<SketchEntry>();
        var count = random.Next(5, 60);
        for (var n = 0; n < count; n++)
        {
            var parent = directories[random.Next(directories.Count)];
            byte[] path = parent.Path.Length == 0 ? Name(random, plain) : [.. parent.Path, (byte)'/', .. Name(random, plain)];
            if (path.Length > (plain ? 90 : 2000) || !paths.Add(Convert.ToHexString(path)))
                continue;
            var entry = random.Next(10) switch
            {
                < 3 => new SketchEntry(path, EntryType.Directory),
                3 => new SketchEntry(path, EntryType.Symlink) { Target = Target(random, plain) },
                4 => new SketchEntry(path, EntryType.Fifo),
                5 or 6 when files.Count > 0 => files[random.Next(files.Count)] is var first && (first.LinkTo ?? first) is var owner ? owner with { Path = path, LinkTo = owner } : null!,
                _ => new SketchEntry(path, EntryType.File) { Data = Data(random) },
            };
            if (entry.LinkTo is null)
                entry = Attributed(entry, random, plain);
            entries.Add(entry);
            if (entry.Type == EntryType.Directory)
                directories.Add(entry);
            else
                files.Add(entry);
        }
        return entries;
    }

    public static List<SketchEntry> Deep(int depth)
    {
        var entries = new List<SketchEntry> { new([], EntryType.Directory) };
        var path = new List<byte>();
        for (var n = 0; n < depth; n++)
        {
            if (n > 0)
                path.Add((byte)'/');
            path.AddRange("abcdefghijklm"u8);
            entries.Add(new SketchEntry([.. path], EntryType.Directory) { Mtime = n });
        }
        entries.Add(new SketchEntry([.. path, .. "/end"u8], EntryType.File) { Data = "end"u8.ToArray() });
        return entries;
    }

    private static SketchEntry Attributed(SketchEntry entry, Random random, bool plain)
    {
        var xattrs = new List<(byte[] Name, byte[] Value)>();
        if (!plain && entry.Type is EntryType.File or EntryType.Directory && random.Next(4) == 0 && !plain)
        {
            xattrs.Add(("user.grid"u8.ToArray(), Bytes(random, random.Next(1, 200))));
            if (random.Next(2) == 0)
                xattrs.Add(("user.a=b%c"u8.ToArray(), "x=1\ny"u8.ToArray()));
            // A file capability as setcap(8) writes it: cap_net_raw+ep, VFS_CAP_REVISION_2.
            if (entry.Type == EntryType.File && random.Next(2) == 0)
                xattrs.Add(("security.capability"u8.ToArray(), [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        }
        return entry with
        {
            Mode = entry.Type == EntryType.Symlink ? 0x1ff : random.Next(0x1000) | (entry.Type == EntryType.Directory ? 0x1c0 : 0),
            Uid = (uint)random.Next(plain ? 2_000_000 : int.MaxValue),
            Gid = (uint)random.Next(70_000),
            Mtime = random.Next(5) == 0 && !plain ? -random.Next(1, 1_000_000_000) : random.NextInt64(0, 4_000_000_000),
            Xattrs = xattrs,
        };
    }

    private static byte[] Data(Random random)
    {
        var data = Bytes(random, Sizes[random.Next(Sizes.Length)]);
        // Some files are mostly holes, some repeat others.
        if (random.Next(5) == 0)
            data.AsSpan(data.Length / 8).Clear();
        return random.Next(8) == 0 ? Encoding.ASCII.GetBytes("the same everywhere") : data;
    }

    private static byte[] Name(Random random, bool plain)
    {
        if (plain || random.Next(3) > 0)
            return Encoding.ASCII.GetBytes($"n{random.Next(40):x}");
        var name = Bytes(random, random.Next(6) == 0 ? 255 : random.Next(1, 20));
        for (var i = 0; i < name.Length; i++)
            name[i] = name[i] is 0 or (byte)'/' or (byte)'.' ? (byte)0xff : name[i];
        return name;
    }

    private static byte[] Target(Random random, bool plain)
    {
        if (plain || random.Next(3) > 0)
            return Encoding.ASCII.GetBytes($"../n{random.Next(40):x}");
        var target = Bytes(random, random.Next(4) == 0 ? 4000 : random.Next(1, 120));
        target.AsSpan().Replace((byte)0, (byte)'/');
        return target;
    }

    private static byte[] Bytes(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}
