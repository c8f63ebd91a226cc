using System.Net.Sockets;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Tests.Containers;

public sealed class NamespaceSocketTests
{
    public NamespaceSocketTests() => Assert.SkipUnless(Environment.IsPrivilegedProcess, "To enter a network namespace takes root.");

    /// <summary>A thread that allocates may be made the parent of one that collects, which would hold the namespace long after its container.</summary>
    [Theory]
    [InlineData(AddressFamily.InterNetwork, SocketType.Stream)]
    [InlineData(AddressFamily.InterNetworkV6, SocketType.Stream)]
    [InlineData(AddressFamily.Packet, SocketType.Raw)]
    public void Who_enters_allocates_nothing_in_there(AddressFamily family, SocketType type)
    {
        Assert.SkipUnless(family is not AddressFamily.InterNetworkV6 || Socket.OSSupportsIPv6, "This kernel has no IPv6.");
        using var space = Posix.OpenPath("/proc/self/ns/net");
        // What is compiled or loaded for the first time is not its doing.
        var (first, made) = (new NamespaceSocket(Posix.Number(space), family, type), new NamespaceSocket(Posix.Number(space), family, type));
        Allocated(first);
        first.Take().Dispose();
        Assert.Equal(0, Allocated(made));
        using var socket = made.Take();
        Assert.Equal((family, type), (socket.AddressFamily, socket.SocketType));
    }

    [Fact]
    public void A_place_that_is_no_namespace_is_said()
    {
        using var space = Posix.OpenPath("/dev/null");
        var refused = Assert.Throws<IOException>(() => NamespaceSocket.Make(space, AddressFamily.InterNetwork, SocketType.Stream));
        Assert.Equal("No socket could be made in that network: setns: Invalid argument", refused.Message);
    }

    /// <summary>The number of a descriptor that was closed may be that of another's network by then.</summary>
    [Fact]
    public void What_is_closed_is_not_entered()
    {
        var space = Posix.OpenPath("/proc/self/ns/net");
        var number = Posix.Number(space);
        space.Dispose();
        using var next = Posix.OpenPath("/proc/self/ns/net");
        Assert.Equal(number, Posix.Number(next));
        Assert.Throws<IOException>(() => NamespaceSocket.Make(space, AddressFamily.InterNetwork, SocketType.Stream));
    }

    private static long Allocated(NamespaceSocket made)
    {
        var allocated = -1L;
        var thread = new Thread(() =>
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            made.Enter();
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        });
        thread.Start();
        thread.Join();
        return allocated;
    }
}
