using System.Text;

namespace Grid.Flists.Mount.Tests;

/// <summary>A seeded tree with everything a flist may hold, written beside as plain files by ordinary system calls.</summary>
internal static class RandomTree
{
    /// <param name="largest">no file has more bytes</param>
    public static void Fill(TestFlist flist, int seed, int entries, int largest = int.MaxValue)
    {
        var random = new Random(seed);
        List<DirectoryNode> directories = [flist.Root];
        List<FileNode> files = [];
        for (var i = 0; i < entries; i++)
        {
            var directory = directories[random.Next(directories.Count)];
            var attributes = new Attributes((ushort)random.Next(0x1000), (uint)random.Next(70000), (uint)random.Next(70000), random.NextInt64(-10_000, 1L << 33), Xattrs(random));
            var name = Name(random);
            if (directory.Find(name) is not null)
                continue;
            switch (random.Next(10))
            {
                case 0 or 1:
                    var child = new DirectoryNode(attributes);
                    directories.Add(child);
                    directory.Set(name, child);
                    break;
                case 2:
                    // Linux keeps no user attributes on links.
                    directory.Set(name, new SymlinkNode(attributes with { Mode = 0x1FF, Xattrs = XattrSet.Empty }, Name(random)));
                    break;
                case 3 when files.Count > 0:
                    directory.Set(name, files[random.Next(files.Count)]);
                    break;
                default:
                    var size = random.Next(6) switch { 0 => 0, 1 => Chunk.Size * 2, 2 => random.Next(3 * Chunk.Size), _ => random.Next(5000) };
                    var content = new byte[Math.Min(size, largest)];
                    random.NextBytes(content);
                    var file = flist.File_(content, attributes.Mode, attributes.Uid, attributes.Gid, attributes.Mtime, attributes.Xattrs);
                    files.Add(file);
                    directory.Set(name, file);
                    break;
            }
        }
    }

    public static void WritePlain(TestFlist flist)
    {
        var paths = new List<byte[]>();
        var owners = new Dictionary<TreeNode, byte[]>();
        foreach (var (node, name, parent) in MetaFileWriter.InOrder(flist.Root))
        {
            var path = paths.Count == 0 ? Posix.Bytes(flist.Plain) : Posix.Join(paths[parent], name);
            paths.Add(path);
            switch (node)
            {
                case DirectoryNode when paths.Count > 1:
                    Posix.Check(Posix.MkDir(path, 0x1C0), "mkdir");
                    break;
                case SymlinkNode link:
                    Posix.Check(Posix.Symlink(link.Target, path), "symlink");
                    break;
                case FileNode when owners.TryGetValue(node, out var first):
                    Posix.Check(Posix.Link(first, path), "link");
                    continue;
                case FileNode file:
                    Posix.WriteFile(path, flist.ContentOf(file));
                    break;
            }
            owners[node] = path;
        }
        // Children before their directory: making them changes its time.
        foreach (var (node, path) in owners.Reverse())
        {
            Posix.Check(Posix.LChOwn(path, node.Attributes.Uid, node.Attributes.Gid), "lchown");
            if (node is not SymlinkNode)
                Posix.Check(Posix.ChMod(path, node.Attributes.Mode), "chmod");
            var xattrs = XattrSet.Read(node.Attributes.Xattrs.Encoded);
            while (xattrs.Next())
                Posix.Check(Posix.SetXattr(path, [.. xattrs.Name, 0], xattrs.Value.ToArray()), "lsetxattr");
            Posix.SetTime(path, node.Attributes.Mtime);
        }
    }

    private static XattrSet Xattrs(Random random) => XattrSet.Of(random.Next(4) > 0 ? [] : Enumerable.Range(0, random.Next(1, 4)).Select(i =>
    {
        var value = new byte[random.Next(40)];
        random.NextBytes(value);
        return (Encoding.ASCII.GetBytes($"user.name{i}"), value);
    }));

    // Every byte but NUL and '/', mostly not UTF-8.
    private static byte[] Name(Random random)
    {
        var name = new byte[random.Next(8) == 0 ? 255 : random.Next(1, 12)];
        for (var i = 0; i < name.Length; i++)
            name[i] = (byte)(random.Next(1, 256) is var b and not '/' ? b : 'x');
        return name is [(byte)'.', ..] ? [(byte)'d', .. name[1..]] : name;
    }
}
