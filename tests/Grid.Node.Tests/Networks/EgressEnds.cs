using System.Net;

namespace Grid.Node.Tests.Networks;

/// <summary>The two ends of a container's way out, as its namespace shows them.</summary>
internal static class EgressEnds
{
    /// <returns>the node's address of the pair, and the container's</returns>
    public static (IPAddress Near, IPAddress Far) Of(Member member)
    {
        // default via NEAR dev gc…; the other of the pair is the next.
        var near = IPAddress.Parse(member.Container.Run("/usr/sbin/ip", "route", "show", "default").Split(' ')[2]);
        var far = near.GetAddressBytes();
        far[3]++;
        return (near, new IPAddress(far));
    }

    public static byte[] MacOf(Space space, string name)
    {
        var words = space.Run("/usr/sbin/ip", "-o", "link", "show", name).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return [.. words[Array.IndexOf(words, "link/ether") + 1].Split(':').Select(b => Convert.ToByte(b, 16))];
    }
}
