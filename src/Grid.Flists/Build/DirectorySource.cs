using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Grid.Flists.Build.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Build;

/// <summary>A directory of this machine. It is walked from one open directory to the next, never through a symbolic link, under raw names.</summary>
public sealed class DirectorySource(string path) : ITreeSource
{
    public Task<SourceTree> ReadAsync(BuildOptions options, CancellationToken cancellation)
    {
        var root = Fcntl.OpenAt(null, Encoding.UTF8.GetBytes(path + '\0'), Fcntl.Directory);
        if (root.IsInvalid)
        {
            var code = Directory.Exists(path) ? FlistBuildCode.SourceUnreadable : FlistBuildCode.SourceMissing;
            throw new FlistBuildException(code, $"The directory '{path}' cannot be opened: {Marshal.GetLastPInvokeErrorMessage()}.");
        }
        return Task.Run(() =>
        {
            try
            {
                return new DirectoryWalk(root, options, cancellation).Run();
            }
            catch
            {
                root.Dispose();
                throw;
            }
        }, cancellation);
    }
}

internal sealed class DirectoryWalk(SafeFileHandle root, BuildOptions options, CancellationToken cancellation)
{
    private readonly TreeBuilder _tree = new(options, layered: false);
    private readonly Dictionary<(ulong Device, ulong Inode), TreeNode> _linked = [];
    private readonly Dictionary<FileNode, FileStamp> _stamps = [];
    private readonly byte[] _path = new byte[4096];
    private readonly byte[] _xattrs = new byte[64 * 1024];
    private int _length;

    public SourceTree Run()
    {
        if (!Stat.TryRead(root, out var stat))
            throw Unreadable();
        _tree.Root.Attributes = Attributes(root, ".\0"u8, stat, EntryType.Directory);
        Fill(_tree.Root, root, 0);
        return new WalkedTree(_tree, root, _stamps);
    }

    private void Fill(DirectoryNode into, SafeFileHandle directory, int depth)
    {
        cancellation.ThrowIfCancellationRequested();
        if (depth > FlistLimits.Depth)
            throw new FlistBuildException(FlistBuildCode.TooLarge, $"'{Shown}' lies deeper than {FlistLimits.Depth} directories.");
        foreach (var name in Dirent.Names(directory) ?? throw Unreadable())
        {
            var before = _length;
            Enter(name.AsSpan(..^1));
            if (Node(directory, name, depth) is { } node)
            {
                _tree.Count();
                into.Set(name[..^1], node);
            }
            _length = before;
        }
    }

    private TreeNode? Node(SafeFileHandle directory, byte[] name, int depth)
    {
        if (!Stat.TryRead(directory, name, out var stat))
            throw Unreadable();
        var several = stat.Type != (int)EntryType.Directory && stat.Nlink > 1;
        if (several && _linked.TryGetValue((stat.Device, stat.Inode), out var known))
            return known;
        var type = (EntryType)stat.Type;
        TreeNode? node;
        switch (type)
        {
            case EntryType.Directory:
                using (var child = Fcntl.OpenAt(directory, name, Fcntl.Directory | Fcntl.NoFollow))
                {
                    if (child.IsInvalid)
                        throw Unreadable();
                    node = new DirectoryNode(Attributes(directory, name, stat, type));
                    Fill((DirectoryNode)node, child, depth + 1);
                }
                break;
            case EntryType.File:
                if (stat.Size > FlistLimits.FileSize)
                    throw new FlistBuildException(FlistBuildCode.TooLarge, $"'{Shown}' has {stat.Size} bytes; {FlistLimits.FileSize} are allowed.");
                var file = new FileNode(Attributes(directory, name, stat, type)) { Size = (long)stat.Size };
                _stamps.Add(file, stat.Stamp);
                node = file;
                break;
            case EntryType.Symlink:
                node = new SymlinkNode(Attributes(directory, name, stat, type), Unistd.ReadLink(directory, name) ?? throw Unreadable());
                break;
            case EntryType.Fifo or EntryType.CharacterDevice or EntryType.BlockDevice:
                node = _tree.Special(Here, type, Attributes(directory, name, stat, type), stat.RdevMajor, stat.RdevMinor);
                break;
            default:
                _tree.Drop("socket", Here);
                node = null;
                break;
        }
        if (several && node is not null)
            _linked.Add((stat.Device, stat.Inode), node);
        return node;
    }

    private Attributes Attributes(SafeFileHandle directory, ReadOnlySpan<byte> name, in Statx stat, EntryType type) =>
        _tree.Attributes(Here, type, stat.Mode, stat.Uid, stat.Gid, stat.MtimeSeconds, Xattrs(directory, name));

    private List<(byte[] Name, byte[] Value)> Xattrs(SafeFileHandle directory, ReadOnlySpan<byte> name)
    {
        // The calls on extended attributes take no directory; the link in /proc leads to the one that is open, wherever it was moved.
        Span<byte> path = stackalloc byte[32 + FlistLimits.Name + 1];
        var text = string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{(int)directory.DangerousGetHandle()}/");
        var length = Encoding.ASCII.GetBytes(text, path);
        name.CopyTo(path[length..]);
        path = path[..(length + name.Length)];
        var found = new List<(byte[] Name, byte[] Value)>();
        foreach (var xattr in Xattr.Names(path, _xattrs) ?? throw Unreadable())
        {
            // What is not kept is reported by its name; its value may be nobody's to read.
            if (!XattrSet.IsAllowed(xattr))
                found.Add((xattr, []));
            else
                found.Add((xattr, Xattr.Value(path, xattr, _xattrs) ?? throw Unreadable()));
        }
        return found;
    }

    private ReadOnlySpan<byte> Here => _path.AsSpan(0, _length);

    private string Shown => _length == 0 ? "." : FlistBuildException.Show(Here);

    private void Enter(ReadOnlySpan<byte> name)
    {
        if (_length + 1 + name.Length > FlistLimits.Path)
            throw new FlistBuildException(FlistBuildCode.TooLarge, $"A path below '{Shown}' has more than {FlistLimits.Path} bytes.");
        if (_length > 0)
            _path[_length++] = (byte)'/';
        name.CopyTo(_path.AsSpan(_length));
        _length += name.Length;
    }

    private FlistBuildException Unreadable()
    {
        const int NoSuchFile = 2;
        var code = Marshal.GetLastPInvokeError() == NoSuchFile ? FlistBuildCode.SourceChanged : FlistBuildCode.SourceUnreadable;
        return new FlistBuildException(code, $"'{Shown}' cannot be read: {Marshal.GetLastPInvokeErrorMessage()}.");
    }

    private sealed class WalkedTree(TreeBuilder tree, SafeFileHandle root, Dictionary<FileNode, FileStamp> stamps) : SourceTree(tree)
    {
        public override FileBytes Open(FileNode file, byte[] path)
        {
            var handle = Fcntl.OpenAt(root, [.. path, 0], Fcntl.NoFollow | Fcntl.NonBlocking);
            if (handle.IsInvalid)
            {
                handle.Dispose();
                throw new FlistBuildException(FlistBuildCode.SourceUnreadable, $"'{FlistBuildException.Show(path)}' cannot be opened: {Marshal.GetLastPInvokeErrorMessage()}.");
            }
            var bytes = new WalkedFile(handle, stamps[file], path);
            bytes.Finish();
            return bytes;
        }

        public override void Dispose() => root.Dispose();
    }

    // The stamp is compared before and after: whoever swapped a directory for a link, or wrote meanwhile, is noticed.
    private sealed class WalkedFile(SafeFileHandle handle, FileStamp stamp, byte[] path) : FileBytes
    {
        public override SafeFileHandle Handle => handle;

        public override long Offset => 0;

        public override void Finish()
        {
            if (!Stat.TryRead(handle, out var now) || now.Stamp != stamp)
            {
                handle.Dispose();
                throw new FlistBuildException(FlistBuildCode.SourceChanged, $"'{FlistBuildException.Show(path)}' changed while the flist was built.");
            }
        }

        public override void Dispose() => handle.Dispose();
    }
}
