using System.Buffers.Binary;

namespace Grid.Flists.Mount.Serving;

/// <summary>The extended attributes that name owners, which move with those of the files: access lists and, of its third revision, a file's capabilities.</summary>
internal static class OwnerXattrs
{
    // linux/posix_acl_xattr.h: a version, then of each entry its tag, its rights and an id, which means something of named users and groups only.
    private const int AclHeader = 4, AclEntry = 8, AclId = 4;
    private const ushort NamedUser = 0x02, NamedGroup = 0x08;

    // linux/capability.h: vfs_ns_cap_data, whose last word is the uid that is root where the file is privileged.
    private const uint RevisionMask = 0xFF00_0000, Revision3 = 0x0300_0000;
    private const int CapabilitySize = 24, RootId = 20;

    /// <param name="value">little-endian as stored; what is not of the known shape stays as it is, and the kernel refuses it</param>
    public static void Shift(ReadOnlySpan<byte> name, Span<byte> value, IdRange owners)
    {
        if (name.StartsWith("system.posix_acl_"u8))
        {
            for (var at = AclHeader; at + AclEntry <= value.Length; at += AclEntry)
            {
                if (BinaryPrimitives.ReadUInt16LittleEndian(value[at..]) is NamedUser or NamedGroup)
                    Move(value[(at + AclId)..], owners);
            }
        }
        else if (name.SequenceEqual("security.capability"u8) && value.Length == CapabilitySize
            && (BinaryPrimitives.ReadUInt32LittleEndian(value) & RevisionMask) == Revision3)
            Move(value[RootId..], owners);
    }

    private static void Move(Span<byte> id, IdRange owners) =>
        BinaryPrimitives.WriteUInt32LittleEndian(id, owners.Of(BinaryPrimitives.ReadUInt32LittleEndian(id)));
}
