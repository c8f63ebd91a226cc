using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Build;

/// <summary>Puts the entries of archives into a tree, and remembers where in them the files' bytes lie.</summary>
internal sealed class TarTree(TreeBuilder tree)
{
    private readonly Dictionary<FileNode, (SafeFileHandle Handle, long Offset)> _contents = [];

    public TreeBuilder Tree => tree;

    public void Add(FileSlice archive, TarEntry entry)
    {
        if (entry.Type == TarEntryType.HardLink)
        {
            tree.Link(entry.Path, entry.LinkTarget);
            return;
        }
        var type = entry.Type switch
        {
            TarEntryType.File => EntryType.File,
            TarEntryType.Symlink => EntryType.Symlink,
            TarEntryType.CharacterDevice => EntryType.CharacterDevice,
            TarEntryType.BlockDevice => EntryType.BlockDevice,
            TarEntryType.Directory => EntryType.Directory,
            _ => EntryType.Fifo,
        };
        if (entry.HasTextAcl)
            tree.Drop("acl as text", entry.Path);
        var attributes = tree.Attributes(entry.Path, type, entry.Mode, entry.Uid, entry.Gid, entry.Mtime, entry.Xattrs);
        switch (type)
        {
            case EntryType.Directory:
                tree.Directory(entry.Path, attributes);
                break;
            case EntryType.File:
                var file = new FileNode(attributes) { Size = entry.Size };
                tree.Put(entry.Path, file);
                if (entry.Size > 0)
                    _contents.Add(file, (archive.Handle, archive.Offset + entry.DataAt));
                break;
            case EntryType.Symlink:
                if (entry.LinkTarget.Length is 0 or > FlistLimits.Target || entry.LinkTarget.Contains((byte)0))
                    throw new FlistBuildException(FlistBuildCode.BadLinkTarget, $"The symbolic link '{FlistBuildException.Show(entry.Path)}' has a target of {entry.LinkTarget.Length} bytes or with a zero in it.");
                tree.Put(entry.Path, new SymlinkNode(attributes, entry.LinkTarget));
                break;
            default:
                if (tree.Special(entry.Path, type, attributes, entry.Major, entry.Minor) is { } special)
                    tree.Put(entry.Path, special);
                break;
        }
    }

    public FileBytes Open(FileNode file)
    {
        var (handle, offset) = _contents[file];
        return new TarBytes(handle, offset);
    }

    private sealed class TarBytes(SafeFileHandle handle, long offset) : FileBytes
    {
        public override SafeFileHandle Handle => handle;

        public override long Offset => offset;

        public override void Finish()
        {
        }

        // The archive is the source's to close.
        public override void Dispose()
        {
        }
    }
}
