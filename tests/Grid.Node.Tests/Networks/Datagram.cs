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

    /// <summary>RFC 8200, RFC 768.</summary>
    public static byte[] Udp6(IPAddress from, IPAddress to, ReadOnlySpan<byte> text)
    {
        byte[] udp = [0x14, 0xe9, 0x14, 0xe9, 0, (byte)(8 + text.Length), 0, 0, .. text];
        return Six(from, to, 17, udp, 6);
    }

    /// <summary>RFC 4861: never from farther away than one link.</summary>
    public static byte[] Icmp6(IPAddress from, IPAddress to, byte type, params byte[] body) => Six(from, to, 58, [type, 0, 0, 0, .. body], 2);

    /// <summary>With RFC 1071's sum at that place.</summary>
    public static byte[] Checked(byte[] bytes, int at)
    {
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(at), Sum(bytes));
        return bytes;
    }

    private static byte[] Six(IPAddress from, IPAddress to, byte next, byte[] message, int at)
    {
        byte[] addresses = [.. from.GetAddressBytes(), .. to.GetAddressBytes()];
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(at), Sum([.. addresses, 0, 0, (byte)(message.Length >> 8), (byte)message.Length, 0, 0, 0, next, .. message]));
        return [0x60, 0, 0, 0, (byte)(message.Length >> 8), (byte)message.Length, next, 255, .. addresses, .. message];
    }

    private static ushort Sum(byte[] bytes)
    {
        var sum = 0;
        for (var i = 0; i < bytes.Length; i += 2)
            sum += (bytes[i] << 8) | (i + 1 < bytes.Length ? bytes[i + 1] : 0);
        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~((sum & 0xffff) + (sum >> 16));
    }
}
