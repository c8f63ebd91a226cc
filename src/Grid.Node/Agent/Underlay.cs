using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;

namespace Grid.Node.Agent;

/// <summary>The addresses by which other nodes reach this one.</summary>
internal static class Underlay
{
    // For documentation (RFC 5737, RFC 3849): routed as the world is, and nobody is there.
    private static readonly ImmutableArray<IPAddress> World = [IPAddress.Parse("192.0.2.1"), IPAddress.Parse("2001:db8::1")];

    /// <summary>The source addresses of the routes to the world, IPv4 first; none on a machine without a way out. Nothing is sent.</summary>
    public static ImmutableArray<IPAddress> Find()
    {
        var found = ImmutableArray.CreateBuilder<IPAddress>();
        foreach (var there in World)
        {
            try
            {
                using var socket = new Socket(there.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
                socket.Connect(there, 9);
                found.Add(((IPEndPoint)socket.LocalEndPoint!).Address);
            }
            catch (SocketException)
            {
                // No route of this family.
            }
        }
        return found.ToImmutable();
    }
}
