using System.Net;
using System.Net.Sockets;

namespace Grid.Node.Tests.Networks;

/// <summary>The way between two members, on which nothing arrives before each has called the other.</summary>
internal sealed class Crossing : IDisposable
{
    private readonly TaskCompletionSource[] _called = [new(), new()];
    private readonly Socket[] _sockets;

    /// <param name="at">the node that it runs on</param>
    public Crossing(LabNode at, Member[] members)
    {
        _sockets = [Bind(at), Bind(at)];
        for (var from = 0; from < 2; from++)
            _ = PassAsync(from, new IPEndPoint(members[1 - from].Node.Underlay, members[1 - from].Port));
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

    private async Task PassAsync(int from, IPEndPoint to)
    {
        var buffer = new byte[2048];
        try
        {
            while (true)
            {
                var count = await _sockets[from].ReceiveAsync(buffer);
                _called[from].TrySetResult();
                await BothCalled;
                await _sockets[1 - from].SendToAsync(buffer.AsMemory(0, count), to);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or TimeoutException)
        {
            // The test is over.
        }
    }
}
