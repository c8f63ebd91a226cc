using System.Net;
using System.Net.Sockets;

namespace Grid.Node.Tests.Networks;

/// <summary>The way between two members, on which nothing arrives before each has called the other.</summary>
internal sealed class Crossing : IDisposable
{
    private readonly TaskCompletionSource[] _called = [new(), new()];
    private readonly Socket[] _sockets;

    /// <param name="at">the node that it runs on</param>
    /// <param name="together">how many of the second's packets the first gets at once, the last of them first: with two the answer to its call, and the other's call</param>
    public Crossing(LabNode at, Member[] members, int together = 1)
    {
        _sockets = [Bind(at), Bind(at)];
        _ = PassAsync(0, new IPEndPoint(members[1].Node.Underlay, members[1].Port), 1);
        _ = PassAsync(1, new IPEndPoint(members[0].Node.Underlay, members[0].Port), together);
    }

    /// <summary>Where either of the members believes that the other is.</summary>
    public IPEndPoint[] Ends => [.. _sockets.Select(s => (IPEndPoint)s.LocalEndPoint!)];

    public Task BothCalled => Task.WhenAll(_called.Select(c => c.Task)).WaitAsync(TimeSpan.FromSeconds(15));

    public void Dispose()
    {
        foreach (var socket in _sockets)
            socket.Dispose();
    }

    private static Socket Bind(LabNode at)
    {
        var socket = at.Space.Make(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
        socket.Bind(new IPEndPoint(at.Underlay, 0));
        return socket;
    }

    private async Task PassAsync(int from, IPEndPoint to, int together)
    {
        var buffer = new byte[2048];
        var held = new Stack<byte[]>();
        try
        {
            while (true)
            {
                var count = await _sockets[from].ReceiveAsync(buffer);
                _called[from].TrySetResult();
                held.Push(buffer[..count]);
                if (held.Count < together)
                    continue;
                await BothCalled;
                while (held.TryPop(out var packet))
                    _sockets[1 - from].SendTo(packet, to);
                together = 1;
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or TimeoutException)
        {
            // The test is over.
        }
    }
}
