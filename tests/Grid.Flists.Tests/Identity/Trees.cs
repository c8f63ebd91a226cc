using Grid.Units;

namespace Grid.Flists.Tests.Identity;

internal static class Trees
{
    /// <summary>The tree of a sketch in the model's own terms, without any source.</summary>
    public static DirectoryNode Of(IEnumerable<SketchEntry> entries)
    {
        var nodes = new Dictionary<string, TreeNode>();
        foreach (var e in entries)
        {
            var attributes = new Attributes((ushort)e.Mode, e.Uid, e.Gid, e.Mtime, XattrSet.Of(e.Xattrs));
            TreeNode node = e.LinkTo is { } first ? nodes[Key(first.Path)] : e.Type switch
            {
                EntryType.Directory => new DirectoryNode(attributes),
                EntryType.File => new FileNode(attributes) { Size = e.Data.Length, Chunks = [.. e.Data.Chunk(Chunk.Size).Select(c => Digest.Of(c))] },
                EntryType.Symlink => new SymlinkNode(attributes, e.Target),
                _ => new SpecialNode(attributes, e.Type, e.Rdev),
            };
            nodes[Key(e.Path)] = node;
            if (e.Path.Length > 0)
                ((DirectoryNode)nodes[Key(e.Directory)]).Set(e.Name, node);
        }
        return (DirectoryNode)nodes[""];
    }

    public static MetaFile Meta(IEnumerable<SketchEntry> entries) => MetaFileWriter.Write(Of(entries));

    public static SketchEntry Dir(string path) => new(Bytes(path), EntryType.Directory);

    public static SketchEntry File(string path, string data = "") => new(Bytes(path), EntryType.File) { Data = Bytes(data) };

    public static SketchEntry Link(string path, string target) => new(Bytes(path), EntryType.Symlink) { Target = Bytes(target), Mode = 0x1ff };

    public static byte[] Bytes(string text) => System.Text.Encoding.UTF8.GetBytes(text);

    private static string Key(byte[] path) => Convert.ToHexString(path);
}
