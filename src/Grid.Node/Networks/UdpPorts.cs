using System.Buffers.Binary;
using Grid.Networks;

namespace Grid.Node.Networks;

/// <summary>Where the tunnels of a node listen: 20000–39999, below what Linux and most farmers give to clients.</summary>
internal sealed class UdpPorts(NetworkNamespace node)
{
    private const int First = 20_000, Count = 20_000;
    private static readonly string[] Tables = ["/proc/self/net/udp", "/proc/self/net/udp6"];

    /// <exception cref="IOException">every one is taken</exception>
    public int Choose(TunnelId id, IReadOnlySet<int> taken)
    {
        var bound = Bound();
        var start = (int)(BinaryPrimitives.ReadUInt32BigEndian(id.Hash("port")) % Count);
        for (var i = 0; i < Count; i++)
        {
            var port = First + (start + i) % Count;
            if (!taken.Contains(port) && !bound.Contains(port))
                return port;
        }
        throw new IOException($"Every UDP port from {First} to {First + Count - 1} is taken.");
    }

    // Without IPv6 in the kernel there is no udp6.
    private HashSet<int> Bound() => [.. NamespaceView.UdpPorts(node.Run("/usr/bin/cat", [.. Tables.Where(File.Exists)]).Split('\n'))];
}
