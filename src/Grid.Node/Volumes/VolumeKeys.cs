using System.Security.Cryptography;
using System.Text;
using Grid.Node.Containers;
using Grid.Node.Volumes.Interop;
using Grid.Secrets;
using NSec.Cryptography;

namespace Grid.Node.Volumes;

/// <summary>
/// The keys of volumes: 64 random bytes each, on disk only sealed to the node. To whom they are sealed is derived, never stored: X25519 (RFC 7748) with
/// HKDF-SHA256(node's secret, info <c>"grid volume 1"</c>) as the private key.
/// <code>
/// file   = "grid volume key1" ‖ ephemeral public key (32) ‖ ChaCha20-Poly1305(key) (64 + 16) ‖ zeros up to 4096 bytes
/// sealer = HKDF-SHA256(X25519(ephemeral, node), salt = ephemeral ‖ node, info = "grid volume 1"), nonce zero: it seals once; associated data = the volume's id
/// </code>
/// A file of one whole block is overwritten where it lies, so that a key can be destroyed; a smaller one may be moved with the metadata around it.
/// </summary>
internal sealed class VolumeKeys : IDisposable
{
    public const int FileSize = 4096;
    private const int PublicSize = 32, SealedSize = LinuxFscrypt.KeySize + KeyAgreement.TagSize;

    private readonly Key _node;

    /// <param name="secret">the node's, 32 bytes</param>
    public VolumeKeys(ReadOnlySpan<byte> secret)
    {
        Span<byte> key = stackalloc byte[32];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, key, default, Info);
        _node = Key.Import(KeyAgreementAlgorithm.X25519, key, KeyBlobFormat.RawPrivateKey);
        CryptographicOperations.ZeroMemory(key);
    }

    private byte[] NodePublic => _node.PublicKey.Export(KeyBlobFormat.RawPublicKey);

    private static ReadOnlySpan<byte> Magic => "grid volume key1"u8;

    private static ReadOnlySpan<byte> Info => "grid volume 1"u8;

    /// <summary>The file, whole.</summary>
    public byte[] Seal(ContainerId id, ReadOnlySpan<byte> key)
    {
        var file = new byte[FileSize];
        using var ephemeral = Key.Create(KeyAgreementAlgorithm.X25519);
        var publicKey = ephemeral.PublicKey.Export(KeyBlobFormat.RawPublicKey);
        Magic.CopyTo(file);
        publicKey.CopyTo(file.AsSpan(Magic.Length));
        using var sealer = KeyAgreement.SealerOf(ephemeral, NodePublic, publicKey, NodePublic, Info)!;
        KeyAgreement.Aead.Encrypt(sealer, KeyAgreement.Nonce, Encoding.UTF8.GetBytes(id.ToString()), key, file.AsSpan(Magic.Length + PublicSize, SealedSize));
        return file;
    }

    /// <param name="key">the caller wipes it after use</param>
    /// <returns>false when it is not a key, not this volume's, or not sealed to this node</returns>
    public bool TryOpen(ContainerId id, ReadOnlySpan<byte> file, Span<byte> key)
    {
        if (file.Length != FileSize || !file.StartsWith(Magic))
            return false;
        var publicKey = file.Slice(Magic.Length, PublicSize);
        using var sealer = KeyAgreement.SealerOf(_node, publicKey, publicKey, NodePublic, Info);
        return sealer is not null && KeyAgreement.Aead.Decrypt(sealer, KeyAgreement.Nonce, Encoding.UTF8.GetBytes(id.ToString()), file.Slice(Magic.Length + PublicSize, SealedSize), key);
    }

    /// <summary>Writes a key file that was not there, and waits until the disk has it.</summary>
    public static void Write(string path, ReadOnlySpan<byte> file)
    {
        using var handle = FcntlH.Open(path, FcntlH.O_RDWR | FcntlH.O_CREAT | FcntlH.O_EXCL, 0b110_000_000);
        LinuxFs.OverwriteInPlace(handle);
        RandomAccess.Write(handle, file, 0);
        FcntlH.Sync(handle);
    }

    /// <summary>Overwrites it where it lies, and waits until the disk has it. From then on nothing opens the volume.</summary>
    public static void Wipe(string path)
    {
        using var handle = FcntlH.Open(path, FcntlH.O_RDWR);
        RandomAccess.Write(handle, new byte[long.Max(RandomAccess.GetLength(handle), FileSize)], 0);
        FcntlH.Sync(handle);
    }

    public static bool IsWiped(ReadOnlySpan<byte> file) => !file.ContainsAnyExcept((byte)0);

    public static bool IsKey(ReadOnlySpan<byte> file) => file.Length == FileSize && file.StartsWith(Magic);

    public void Dispose() => _node.Dispose();
}
