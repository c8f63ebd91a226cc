using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grid.Flists.Mount.Fuse;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount.Serving;

/// <summary>GETXATTR and LISTXATTR. With size 0 the answer is how many bytes there are; with too small a size it is ERANGE (getxattr(2)).</summary>
internal static class Xattrs
{
    public static int Get(FlistTree tree, int inode, ReadOnlySpan<byte> name, uint size, Span<byte> body)
    {
        var xattrs = tree.Meta.Xattrs(inode);
        while (xattrs.Next())
        {
            if (!xattrs.Name.SequenceEqual(name))
                continue;
            if (size == 0)
                return Count(body, xattrs.Value.Length);
            if (xattrs.Value.Length > size || xattrs.Value.Length > body.Length)
                return -(int)Errno.ERANGE;
            xattrs.Value.CopyTo(body);
            if (tree.Owners is { } owners)
                OwnerXattrs.Shift(name, body[..xattrs.Value.Length], owners);
            return xattrs.Value.Length;
        }
        return -(int)Errno.ENODATA;
    }

    public static int List(MetaFile meta, int inode, uint size, Span<byte> body)
    {
        var length = 0;
        var xattrs = meta.Xattrs(inode);
        while (xattrs.Next())
        {
            var end = length + xattrs.Name.Length + 1;
            if (size > 0)
            {
                if (end > size || end > body.Length)
                    return -(int)Errno.ERANGE;
                xattrs.Name.CopyTo(body[length..]);
                body[end - 1] = 0;
            }
            length = end;
        }
        return size == 0 ? Count(body, length) : length;
    }

    private static int Count(Span<byte> body, int length)
    {
        MemoryMarshal.Write(body, new GetXattrOut { Size = (uint)length });
        return Unsafe.SizeOf<GetXattrOut>();
    }
}
