using System.Security.Cryptography;
using System.Text;
using Grid.Units;

namespace Grid.Flists.Tests.Identity;

/// <summary>The root hash of a sketch, computed from FORMAT.md's words alone: recursive, slow, sharing no code with the writer but SHA-256.</summary>
public static class Reference
{
    public static Digest Root(IReadOnlyList<SketchEntry> entries)
    {
        var groups = Groups(entries);
        var root = entries.Single(e => e.Path.Length == 0);
        var b = new MemoryStream();
        using var w = new BinaryWriter(b);
        w.Write("FLR1"u8);
        w.Write((ushort)root.Mode);
        w.Write(root.Uid);
        w.Write(root.Gid);
        w.Write(root.Mtime);
        Xattrs(w, root);
        w.Write(DirectoryId(entries, root, groups));
        return new Digest(SHA256.HashData(b.ToArray()));
    }

    private static byte[] DirectoryId(IReadOnlyList<SketchEntry> all, SketchEntry directory, Dictionary<string, uint> groups)
    {
        var children = Children(all, directory);
        var b = new MemoryStream();
        using var w = new BinaryWriter(b);
        w.Write("FLD1"u8);
        w.Write((uint)children.Count);
        foreach (var child in children)
        {
            w.Write((byte)child.Type);
            w.Write((ushort)child.Mode);
            w.Write(child.Uid);
            w.Write(child.Gid);
            w.Write(child.Mtime);
            w.Write(child.Type == EntryType.Directory ? 0u : groups[Key(child)]);
            w.Write(child.Type == EntryType.File ? (ulong)child.Data.Length : child.Rdev);
            w.Write((ushort)child.Name.Length);
            w.Write(child.Name);
            byte[] payload = child.Type switch
            {
                EntryType.File => ContentId(child.Data),
                EntryType.Directory => DirectoryId(all, child, groups),
                EntryType.Symlink => child.Target,
                _ => [],
            };
            w.Write((ushort)payload.Length);
            w.Write(payload);
            Xattrs(w, child);
        }
        return SHA256.HashData(b.ToArray());
    }

    private static byte[] ContentId(byte[] data)
    {
        var b = new MemoryStream();
        using var w = new BinaryWriter(b);
        w.Write("FLB1"u8);
        w.Write((ulong)data.Length);
        foreach (var chunk in data.Chunk(262_144))
            w.Write(SHA256.HashData(chunk));
        return SHA256.HashData(b.ToArray());
    }

    private static void Xattrs(BinaryWriter w, SketchEntry entry)
    {
        w.Write((ushort)entry.Xattrs.Count);
        foreach (var (name, value) in entry.Xattrs.OrderBy(x => Encoding.Latin1.GetString(x.Name), StringComparer.Ordinal))
        {
            w.Write((ushort)name.Length);
            w.Write((uint)value.Length);
            w.Write(name);
            w.Write(value);
        }
    }

    // Breadth first, groups numbered as their first members come.
    private static Dictionary<string, uint> Groups(IReadOnlyList<SketchEntry> entries)
    {
        var members = entries.Where(e => e.Type != EntryType.Directory).CountBy(Key).ToDictionary();
        var groups = new Dictionary<string, uint>();
        var next = 1u;
        var queue = new Queue<SketchEntry>([entries.Single(e => e.Path.Length == 0)]);
        while (queue.TryDequeue(out var directory))
        {
            foreach (var child in Children(entries, directory))
            {
                if (child.Type == EntryType.Directory)
                    queue.Enqueue(child);
                else if (!groups.ContainsKey(Key(child)))
                    groups[Key(child)] = members[Key(child)] > 1 ? next++ : 0;
            }
        }
        return groups;
    }

    private static List<SketchEntry> Children(IReadOnlyList<SketchEntry> all, SketchEntry directory) =>
    [
        .. all.Where(e => e.Path.Length > 0 && e.Directory.AsSpan().SequenceEqual(directory.Path))
            .OrderBy(e => Encoding.Latin1.GetString(e.Name), StringComparer.Ordinal),
    ];

    private static string Key(SketchEntry e) => Convert.ToHexString((e.LinkTo ?? e).Path);
}
