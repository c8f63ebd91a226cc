using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Grid.Node.Machines;

/// <summary>
/// The beginning of a disk that is encrypted as LUKS1 (LUKS On-Disk Format Specification 1.2.3), aes-xts-plain64 with 512 bits, so that the emulator reads it.
/// Written here because it is small, and qemu-img takes seconds for it and fails now and then where processor time is counted coarsely. The passphrase is as
/// random as the key, so that stretching it would only cost time.
/// </summary>
internal static class LuksHeader
{
    /// <summary>Where the disk itself begins.</summary>
    public const int Size = 2 << 20;

    private const int KeySize = 64, SaltSize = 32, DigestSize = 20, Iterations = 1000, Stripes = 4000, Slots = 8, SlotsAt = 208, SlotSize = 48, Sector = 512;
    private const int MaterialSize = KeySize * Stripes, FirstMaterial = 4096;
    private const int MaterialRoom = (MaterialSize + 4095) / 4096 * 4096;
    private const uint Active = 0x00ac_71f3, Inactive = 0x0000_dead;

    /// <summary>The emulator wants it as text.</summary>
    public static byte[] Passphrase(ReadOnlySpan<byte> key) => Encoding.ASCII.GetBytes(Convert.ToHexStringLower(key));

    /// <summary>A header with a new master key, which <paramref name="passphrase"/> opens.</summary>
    public static byte[] Create(ReadOnlySpan<byte> passphrase)
    {
        var header = new byte[Size];
        Span<byte> master = stackalloc byte[KeySize];
        RandomNumberGenerator.Fill(master);
        try
        {
            Write(header, passphrase, master);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(master);
        }
        return header;
    }

    private static void Write(Span<byte> header, ReadOnlySpan<byte> passphrase, ReadOnlySpan<byte> master)
    {
        "LUKS"u8.CopyTo(header);
        (header[4], header[5]) = (0xba, 0xbe);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], 1);
        "aes"u8.CopyTo(header[8..]);
        "xts-plain64"u8.CopyTo(header[40..]);
        "sha256"u8.CopyTo(header[72..]);
        BinaryPrimitives.WriteUInt32BigEndian(header[104..], Size / Sector);
        BinaryPrimitives.WriteUInt32BigEndian(header[108..], KeySize);
        var salt = header.Slice(132, SaltSize);
        RandomNumberGenerator.Fill(salt);
        Rfc2898DeriveBytes.Pbkdf2(master, salt, header.Slice(112, DigestSize), Iterations, HashAlgorithmName.SHA256);
        BinaryPrimitives.WriteUInt32BigEndian(header[164..], Iterations);
        Encoding.ASCII.GetBytes(Guid.NewGuid().ToString(), header.Slice(168, 40));
        for (var i = 0; i < Slots; i++)
        {
            var slot = header.Slice(SlotsAt + i * SlotSize, SlotSize);
            BinaryPrimitives.WriteUInt32BigEndian(slot, i == 0 ? Active : Inactive);
            BinaryPrimitives.WriteUInt32BigEndian(slot[40..], (uint)((FirstMaterial + i * MaterialRoom) / Sector));
            BinaryPrimitives.WriteUInt32BigEndian(slot[44..], Stripes);
        }
        var first = header.Slice(SlotsAt, SlotSize);
        BinaryPrimitives.WriteUInt32BigEndian(first[4..], Iterations);
        RandomNumberGenerator.Fill(first.Slice(8, SaltSize));
        Span<byte> opener = stackalloc byte[KeySize];
        Rfc2898DeriveBytes.Pbkdf2(passphrase, first.Slice(8, SaltSize), opener, Iterations, HashAlgorithmName.SHA256);
        var material = header.Slice(FirstMaterial, MaterialSize);
        Split(master, material);
        Encrypt(material, opener);
        CryptographicOperations.ZeroMemory(opener);
    }

    /// <summary>§2.4: the key in 4000 parts, all of which are needed to have it back; so one that is overwritten destroys it.</summary>
    private static void Split(ReadOnlySpan<byte> key, Span<byte> material)
    {
        Span<byte> sum = stackalloc byte[KeySize];
        sum.Clear();
        RandomNumberGenerator.Fill(material[..^KeySize]);
        for (var at = 0; at < MaterialSize - KeySize; at += KeySize)
        {
            Xor(sum, material.Slice(at, KeySize));
            Diffuse(sum);
        }
        key.CopyTo(material[^KeySize..]);
        Xor(material[^KeySize..], sum);
        CryptographicOperations.ZeroMemory(sum);
    }

    // Each digest's length of it becomes the digest of its number and itself.
    private static void Diffuse(Span<byte> sum)
    {
        Span<byte> block = stackalloc byte[4 + SHA256.HashSizeInBytes];
        for (var i = 0; i < KeySize / SHA256.HashSizeInBytes; i++)
        {
            var part = sum.Slice(i * SHA256.HashSizeInBytes, SHA256.HashSizeInBytes);
            BinaryPrimitives.WriteInt32BigEndian(block, i);
            part.CopyTo(block[4..]);
            SHA256.HashData(block, part);
        }
    }

    /// <summary>XTS (IEEE 1619) over sectors numbered from zero: the tweak is the number, encrypted by the second half of the key, and doubled for each block.</summary>
    private static void Encrypt(Span<byte> sectors, ReadOnlySpan<byte> key)
    {
        using var data = Aes.Create();
        using var tweaks = Aes.Create();
        data.SetKey(key[..(KeySize / 2)]);
        tweaks.SetKey(key[(KeySize / 2)..]);
        Span<byte> tweak = stackalloc byte[16];
        for (var n = 0; n * Sector < sectors.Length; n++)
        {
            tweak.Clear();
            BinaryPrimitives.WriteInt32LittleEndian(tweak, n);
            tweaks.EncryptEcb(tweak, tweak, PaddingMode.None);
            for (var at = n * Sector; at < (n + 1) * Sector; at += 16)
            {
                var block = sectors.Slice(at, 16);
                Xor(block, tweak);
                data.EncryptEcb(block, block, PaddingMode.None);
                Xor(block, tweak);
                var value = BinaryPrimitives.ReadUInt128LittleEndian(tweak);
                BinaryPrimitives.WriteUInt128LittleEndian(tweak, (value << 1) ^ (value >> 127 == 0 ? 0u : 0x87u));
            }
        }
    }

    private static void Xor(Span<byte> into, ReadOnlySpan<byte> with)
    {
        for (var i = 0; i < into.Length; i++)
            into[i] ^= with[i];
    }
}
