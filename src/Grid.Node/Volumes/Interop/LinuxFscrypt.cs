using System.Runtime.InteropServices;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes.Interop;

/// <summary>linux/fscrypt.h (Documentation/filesystems/fscrypt.rst), policies of version 2.</summary>
internal static unsafe class LinuxFscrypt
{
    public const int KeySize = 64, IdentifierSize = 16;
    private const uint FS_IOC_SET_ENCRYPTION_POLICY = 0x800C_6613, FS_IOC_GET_ENCRYPTION_POLICY_EX = 0xC009_6616, FS_IOC_ADD_ENCRYPTION_KEY = 0xC050_6617;
    private const byte FSCRYPT_POLICY_V2 = 2, FSCRYPT_MODE_AES_256_XTS = 1, FSCRYPT_MODE_AES_256_CTS = 4, FSCRYPT_POLICY_FLAGS_PAD_32 = 3;
    private const uint FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER = 2;

    /// <summary>The kernel keeps it for as long as the file system is mounted. Again with the same key changes nothing.</summary>
    /// <param name="root">any file of the file system</param>
    /// <param name="identifier">16 bytes: what the kernel calls the key</param>
    public static void AddKey(SafeFileHandle root, ReadOnlySpan<byte> key, Span<byte> identifier)
    {
        var add = new AddKeyArgument { Type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER, Size = KeySize };
        key.CopyTo(new Span<byte>(add.Raw, KeySize));
        var result = FcntlH.Control(root, FS_IOC_ADD_ENCRYPTION_KEY, &add);
        new Span<byte>(add.Raw, KeySize).Clear();
        if (result < 0)
            throw Posix.Failed("FS_IOC_ADD_ENCRYPTION_KEY");
        new ReadOnlySpan<byte>(add.Identifier, IdentifierSize).CopyTo(identifier);
    }

    /// <summary>All that will be in the directory is encrypted: contents AES-256-XTS, names AES-256-CTS, padded to 32 bytes.</summary>
    /// <param name="directory">empty</param>
    public static void SetPolicy(SafeFileHandle directory, ReadOnlySpan<byte> identifier)
    {
        var policy = new Policy { Version = FSCRYPT_POLICY_V2, Contents = FSCRYPT_MODE_AES_256_XTS, Names = FSCRYPT_MODE_AES_256_CTS, Flags = FSCRYPT_POLICY_FLAGS_PAD_32 };
        identifier.CopyTo(new Span<byte>(policy.Identifier, IdentifierSize));
        if (FcntlH.Control(directory, FS_IOC_SET_ENCRYPTION_POLICY, &policy) < 0)
            throw Posix.Failed("FS_IOC_SET_ENCRYPTION_POLICY");
    }

    /// <summary>True when what is in the directory is encrypted, and by this key.</summary>
    public static bool Uses(SafeFileHandle directory, ReadOnlySpan<byte> identifier)
    {
        var get = new GetPolicyArgument { Size = (ulong)sizeof(Policy) };
        return FcntlH.Control(directory, FS_IOC_GET_ENCRYPTION_POLICY_EX, &get) >= 0 && get.Policy.Version == FSCRYPT_POLICY_V2
            && identifier.SequenceEqual(new ReadOnlySpan<byte>(get.Policy.Identifier, IdentifierSize));
    }

    /// <summary><c>struct fscrypt_get_policy_ex_arg</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct GetPolicyArgument
    {
        public ulong Size;
        public Policy Policy;
    }

    /// <summary><c>struct fscrypt_policy_v2</c>, 24 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Policy
    {
        public byte Version, Contents, Names, Flags;
        public fixed byte Reserved[4];
        public fixed byte Identifier[IdentifierSize];
    }

    /// <summary><c>struct fscrypt_add_key_arg</c>, 80 bytes, and the key.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct AddKeyArgument
    {
        public uint Type, SpecifierReserved;
        public fixed byte Identifier[32];
        public uint Size, KeyId;
        public fixed uint Reserved[8];
        public fixed byte Raw[KeySize];
    }
}
