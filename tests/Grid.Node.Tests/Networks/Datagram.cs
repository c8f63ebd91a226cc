using System.Buffers.Binary;
using System.Net;

namespace Grid.Node.Tests.Networks;

/// <summary>Packets as somebody writes them who needs no socket for it.</summary>
internal static class Datagram
{
    /// <summary>RFC 791: UDP without a checksum, from whatever address.</summary>
    public static byte[] Udp(IPAddress from, IPAddress to, ReadOnlySpan<byte> text)
    {
        byte[] udp = [0x14, 0xe9, 0x14, 0xe9, 0, (byte)(8 + text.Length), 0, 0, .. text];
        byte[] header = [0x45, 0, 0, (byte)(20 + udp.Length), 0, 1, 0, 0, 64, 17, 0, 0, .. from.GetAddressBytes(), .. to.GetAddressBytes()];
        return [.. Checked(header, 10), .. udp];
    }

    /// <summary>With RFC 1071's sum at that place.</summary>
    public static byte[] Checked(byte[] bytes, int at)
    {
        var sum = 0;
        for (var i = 0; i < bytes.Length; i += 2)
            sum += (bytes[i] << 8) | (i + 1 < bytes.Length ? bytes[i + 1] : 0);
        sum = (sum & 0xffff) + (sum >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(at), (ushort)~((sum & 0xffff) + (sum >> 16)));
        return bytes;
    }
}
