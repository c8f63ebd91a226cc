using System.Buffers.Binary;

namespace Grid.Flists.Erofs;

/// <summary>
/// The extended attributes of one inode as they follow it: <c>u32 filter ‖ u8 shared ‖ 7 zeros ‖ { u8 name length ‖ u8 prefix ‖ u16 value length ‖ name without
/// its prefix ‖ value, to a multiple of 4 }*</c> (<c>struct erofs_xattr_ibody_header</c>).
/// </summary>
internal static class ErofsXattrs
{
    private const int Header = 12, Head = 4;

    private static readonly (byte[] Prefix, byte Index)[] _prefixes =
    [
        ([.. "user."u8], 1), ([.. "system.posix_acl_access"u8], 2), ([.. "system.posix_acl_default"u8], 3), ([.. "security."u8], 6),
    ];

    /// <returns>how many bytes there are; 0 when there is no attribute</returns>
    public static int Length(MetaFile meta, int inode)
    {
        var length = 0;
        var xattrs = meta.Xattrs(inode);
        while (xattrs.Next())
            length += LengthOf(xattrs.Name.Length - Prefix(xattrs.Name).Prefix.Length, xattrs.Value.Length);
        return length == 0 ? 0 : Header + length;
    }

    /// <summary>What the inode says of so many bytes.</summary>
    public static ushort Count(int length) => (ushort)(length == 0 ? 0 : (length - Header) / 4 + 1);

    /// <param name="destination">as long as <see cref="Length"/> says, all zeros</param>
    public static void Write(MetaFile meta, int inode, Span<byte> destination)
    {
        if (destination.IsEmpty)
            return;
        destination = destination[Header..];
        var xattrs = meta.Xattrs(inode);
        while (xattrs.Next())
        {
            var (prefix, index) = Prefix(xattrs.Name);
            Put(ref destination, index, xattrs.Name[prefix.Length..], xattrs.Value);
        }
    }

    private static void Put(ref Span<byte> destination, byte prefix, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        destination[0] = (byte)name.Length;
        destination[1] = prefix;
        BinaryPrimitives.WriteUInt16LittleEndian(destination[2..], (ushort)value.Length);
        name.CopyTo(destination[Head..]);
        value.CopyTo(destination[(Head + name.Length)..]);
        destination = destination[LengthOf(name.Length, value.Length)..];
    }

    private static int LengthOf(int name, int value) => (Head + name + value + 3) & ~3;

    private static (byte[] Prefix, byte Index) Prefix(ReadOnlySpan<byte> name)
    {
        foreach (var known in _prefixes)
        {
            if (name.StartsWith(known.Prefix))
                return known;
        }
        throw new System.Diagnostics.UnreachableException("A tree keeps no other extended attribute.");
    }
}
