using System.Security.Cryptography;

namespace Grid.Node.Containers;

/// <summary>For buffers that may hold a private key: nothing of it stays behind.</summary>
internal static class Wiping
{
    /// <summary>A larger one with the same in it; the smaller is wiped.</summary>
    public static byte[] Grow(byte[] buffer)
    {
        var larger = new byte[buffer.Length * 4];
        buffer.CopyTo(larger, 0);
        CryptographicOperations.ZeroMemory(buffer);
        return larger;
    }
}
