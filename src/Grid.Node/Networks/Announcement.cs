using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Grid.Networks;

namespace Grid.Node.Networks;

/// <summary>
/// Tells everybody on a wire where an address is now, so that who knew it elsewhere looks there no longer: an ARP announcement (RFC 5227 §2.3), or an unsolicited
/// neighbour advertisement (RFC 4861 §7.2.6). Nobody answers it; who was not listening asks later, as for any other address.
/// </summary>
internal static class Announcement
{
    private const int EthernetHeader = 14, Ipv6Header = 40, Advertisement = 32, HardwareSize = 6;
    private const ushort Arp = 0x0806, Ipv6 = 0x86dd;
    private const byte IcmpV6 = 58, NeighbourAdvertisement = 136, Override = 0x20, TargetLinkLayerAddress = 2;

    /// <exception cref="IOException">it could not be sent</exception>
    public static void Send(NetworkNamespace space, string link, IPAddress address)
    {
        using var links = JsonDocument.Parse(space.Run(Programs.Ip, ["-j", "link", "show", "dev", link]));
        var (index, type, mac) = links.RootElement[0] is var l && l.TryGetProperty("address", out var text)
            ? (l.GetProperty("ifindex").GetInt32(), l.GetProperty("link_type").GetString(), Convert.FromHexString(text.GetString()!.Replace(":", "", StringComparison.Ordinal)))
            : default;
        // On other wires nobody asks for addresses.
        if (type is not "ether" || mac is not { Length: HardwareSize })
            return;
        var frame = address.IsIPv4() ? ArpAnnouncement(mac, address) : NeighbourAdvertisementOf(mac, address);
        try
        {
            using var socket = space.Make(AddressFamily.Packet, SocketType.Raw);
            socket.SendTo(frame, new LinkEndPoint(index));
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.NetworkDown)
        {
            // Nobody is on a wire that is down, and when it comes up all ask.
        }
        catch (SocketException e)
        {
            throw new IOException($"{address} could not be announced on {link}: {e.Message}", e);
        }
    }

    /// <summary>A request for the address by its holder (RFC 826): who has an entry for the sender's address replaces it.</summary>
    public static byte[] ArpAnnouncement(ReadOnlySpan<byte> mac, IPAddress address)
    {
        var frame = new byte[EthernetHeader + 28];
        Begin(frame, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], mac, Arp);
        var arp = frame.AsSpan(EthernetHeader);
        // Ethernet, IPv4, the lengths of their addresses, request.
        ((ReadOnlySpan<byte>)[0, 1, 8, 0, HardwareSize, 4, 0, 1]).CopyTo(arp);
        mac.CopyTo(arp[8..]);
        address.TryWriteBytes(arp[14..], out _);
        address.TryWriteBytes(arp[24..], out _);
        return frame;
    }

    /// <summary>To all nodes, from the address itself. A proxy as a rule overrides nobody (§7.2.8); this one answers alone.</summary>
    public static byte[] NeighbourAdvertisementOf(ReadOnlySpan<byte> mac, IPAddress address)
    {
        var frame = new byte[EthernetHeader + Ipv6Header + Advertisement];
        // RFC 2464 §7: ff02::1.
        Begin(frame, [0x33, 0x33, 0, 0, 0, 1], mac, Ipv6);
        var ip = frame.AsSpan(EthernetHeader, Ipv6Header);
        var icmp = frame.AsSpan(EthernetHeader + Ipv6Header);
        (ip[0], ip[5], ip[6], ip[7]) = (0x60, Advertisement, IcmpV6, 255);
        address.TryWriteBytes(ip[8..], out _);
        (ip[24], ip[25], ip[39]) = (0xff, 2, 1);
        (icmp[0], icmp[4]) = (NeighbourAdvertisement, Override);
        address.TryWriteBytes(icmp[8..], out _);
        (icmp[24], icmp[25]) = (TargetLinkLayerAddress, 1);
        mac.CopyTo(icmp[26..]);
        BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], Checksum(ip.Slice(8, 32), icmp));
        return frame;
    }

    // RFC 4443 §2.3, over the pseudo-header of RFC 8200 §8.1.
    private static ushort Checksum(ReadOnlySpan<byte> addresses, ReadOnlySpan<byte> message)
    {
        var sum = (uint)message.Length + IcmpV6;
        for (var i = 0; i < addresses.Length; i += 2)
            sum += BinaryPrimitives.ReadUInt16BigEndian(addresses[i..]);
        for (var i = 0; i < message.Length; i += 2)
            sum += BinaryPrimitives.ReadUInt16BigEndian(message[i..]);
        while (sum > ushort.MaxValue)
            sum = (sum & ushort.MaxValue) + (sum >> 16);
        return (ushort)~sum;
    }

    private static void Begin(Span<byte> frame, ReadOnlySpan<byte> to, ReadOnlySpan<byte> from, ushort type)
    {
        to.CopyTo(frame);
        from.CopyTo(frame[HardwareSize..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], type);
    }

    /// <summary>packet(7): struct sockaddr_ll, of which sending whole frames needs the interface alone.</summary>
    private sealed class LinkEndPoint(int index) : EndPoint
    {
        private const int Size = 20, Index = 4;

        public override AddressFamily AddressFamily => AddressFamily.Packet;

        public override SocketAddress Serialize()
        {
            var address = new SocketAddress(AddressFamily.Packet, Size);
            BinaryPrimitives.WriteInt32LittleEndian(address.Buffer.Span[Index..], index);
            return address;
        }
    }
}
