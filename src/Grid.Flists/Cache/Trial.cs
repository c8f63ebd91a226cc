using Grid.Flists.Erofs;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Flists.Cache;

/// <summary>
/// An image to try a kernel with, gone when it is disposed: one file with an extended attribute and an access list, whose only block lies behind the image's
/// end. To read it is an error. There are kernels that give zeros instead, and also when who reads is killed meanwhile: to whoever reads the file next
/// (mended in Linux by eade54040384).
/// </summary>
public sealed class Trial : IDisposable
{
    public const string Name = "file";

    public const string Attribute = "user.trial";

    public const string AccessList = "system.posix_acl_access";

    // Version 2: user::rw-, user:1:r--, group::---, mask::r--, other::--- (linux/posix_acl_xattr.h).
    private static readonly byte[] _list =
    [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255,
        32, 0, 0, 0, 255, 255, 255, 255,
    ];

    private readonly StagedFile _staged;

    internal Trial(string staging)
    {
        var root = new DirectoryNode(new Attributes(0x1C0, 0, 0, 0, XattrSet.Empty));
        var xattrs = XattrSet.Of([("system.posix_acl_access"u8.ToArray(), _list), ("user.trial"u8.ToArray(), [1])]);
        root.Set("file"u8.ToArray(), new FileNode(new Attributes(0x1A0, 0, 0, 0, xattrs)) { Size = Erofs.Erofs.BlockSize, Chunks = [Digest.Of("nothing"u8)] });
        _staged = new StagedFile(staging);
        var file = _staged.Stream.SafeFileHandle;
        RandomAccess.SetLength(file, new ErofsImage(MetaFileWriter.Write(root), file).Length - Erofs.Erofs.BlockSize);
    }

    public string Path => _staged.Path;

    public void Dispose() => _staged.Dispose();
}
