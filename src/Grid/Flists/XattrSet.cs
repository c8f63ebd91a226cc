using System.Buffers.Binary;

namespace Grid.Flists;

/// <summary>
/// The extended attributes of one inode in their one form: <c>u16 count ‖ { u16 name length ‖ u32 value length ‖ name ‖ value }*</c>, sorted by name.
/// Only names that mean the same on every machine are kept: <c>user.*</c>, <c>security.capability</c> and the POSIX ACLs.
/// </summary>
public sealed class XattrSet
{
    public static readonly XattrSet Empty = new(new byte[2]);

    private readonly byte[] _encoded;

    private XattrSet(byte[] encoded) => _encoded = encoded;

    public ReadOnlySpan<byte> Encoded => _encoded;

    public bool IsEmpty => _encoded.Length == 2;

    public static bool IsAllowed(ReadOnlySpan<byte> name) => name.Length <= FlistLimits.XattrName && !name.Contains((byte)0)
        && ((name.StartsWith("user."u8) && name.Length > 5) || name.SequenceEqual("security.capability"u8)
            || name.SequenceEqual("system.posix_acl_access"u8) || name.SequenceEqual("system.posix_acl_default"u8));

    /// <summary>Sorts the attributes and encodes them.</summary>
    /// <exception cref="FlistFormatException">a name twice or not allowed, or more than 64 KiB in all</exception>
    public static XattrSet Of(IEnumerable<(byte[] Name, byte[] Value)> attributes)
    {
        var sorted = attributes.ToArray();
        if (sorted.Length == 0)
            return Empty;
        Array.Sort(sorted, (a, b) => a.Name.AsSpan().SequenceCompareTo(b.Name));
        var length = 2 + sorted.Sum(x => 6L + x.Name.Length + x.Value.Length);
        if (length > FlistLimits.XattrsPerInode || sorted.Length > ushort.MaxValue)
            throw new FlistFormatException(FlistFormatCode.TooLarge, $"The extended attributes of one file take {length} bytes; {FlistLimits.XattrsPerInode} are allowed.");
        var encoded = new byte[length];
        BinaryPrimitives.WriteUInt16LittleEndian(encoded, (ushort)sorted.Length);
        var at = 2;
        foreach (var (name, value) in sorted)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(encoded.AsSpan(at), checked((ushort)name.Length));
            BinaryPrimitives.WriteInt32LittleEndian(encoded.AsSpan(at + 2), value.Length);
            name.CopyTo(encoded, at + 6);
            value.CopyTo(encoded, at + 6 + name.Length);
            at += 6 + name.Length + value.Length;
        }
        Check(encoded);
        return new XattrSet(encoded);
    }

    /// <summary>The attributes, in their order, without a copy.</summary>
    public static XattrReader Read(ReadOnlySpan<byte> encoded) => new(encoded);

    /// <summary>Checks the set at the start of the bytes and returns its length.</summary>
    /// <exception cref="FlistFormatException"/>
    internal static int Check(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 2)
            throw Bad("Extended attributes end before their count.");
        var count = BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        if (count == 0)
            throw Bad("A set of extended attributes is empty.");
        var at = 2;
        ReadOnlySpan<byte> previous = default;
        for (var i = 0; i < count; i++)
        {
            if (bytes.Length - at < 6)
                throw Bad("Extended attributes end inside a length.");
            var nameLength = BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);
            var valueLength = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(at + 2)..]);
            at += 6;
            if (nameLength + (long)valueLength > bytes.Length - at || at + nameLength + (long)valueLength > FlistLimits.XattrsPerInode)
                throw Bad("Extended attributes are longer than their space.");
            var name = bytes.Slice(at, nameLength);
            if (!IsAllowed(name))
                throw Bad("An extended attribute has a name that is not allowed.");
            if (i > 0 && previous.SequenceCompareTo(name) >= 0)
                throw Bad("Extended attributes are not sorted and unique.");
            previous = name;
            at += nameLength + (int)valueLength;
        }
        return at;
    }

    private static FlistFormatException Bad(string message) => new(FlistFormatCode.BadXattrs, message);
}

/// <summary>Steps through an encoded and checked <see cref="XattrSet"/>.</summary>
public ref struct XattrReader(ReadOnlySpan<byte> encoded)
{
    private readonly ReadOnlySpan<byte> _encoded = encoded;
    private int _left = encoded.Length == 0 ? 0 : BinaryPrimitives.ReadUInt16LittleEndian(encoded);
    private int _at = 2;

    public ReadOnlySpan<byte> Name { get; private set; }

    public ReadOnlySpan<byte> Value { get; private set; }

    public bool Next()
    {
        if (_left == 0)
            return false;
        var name = BinaryPrimitives.ReadUInt16LittleEndian(_encoded[_at..]);
        var value = BinaryPrimitives.ReadInt32LittleEndian(_encoded[(_at + 2)..]);
        Name = _encoded.Slice(_at + 6, name);
        Value = _encoded.Slice(_at + 6 + name, value);
        _at += 6 + name + value;
        _left--;
        return true;
    }
}
