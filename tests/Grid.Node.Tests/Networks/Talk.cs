using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Grid.Node.Tests.Networks;

/// <summary>The shortest conversation over TCP: whoever connects is told who they are to the server.</summary>
internal static class Talk
{
    public static Socket Served(this Space space, IPEndPoint at)
    {
        var server = space.Make(() =>
        {
            var socket = new Socket(at.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(at);
            socket.Listen();
            return socket;
        });
        _ = TellAsync(server);
        return server;
    }

    /// <param name="from">null: whichever the kernel takes</param>
    /// <returns>"from", and the address; null when nobody answered in time</returns>
    public static async Task<string?> DialAsync(this Space space, IPEndPoint to, TimeSpan patience, IPAddress? from = null)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        timeout.CancelAfter(patience);
        try
        {
            using var socket = space.Make(() => new Socket(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
            if (from is not null)
                socket.Bind(new IPEndPoint(from, 0));
            await socket.ConnectAsync(to, timeout.Token);
            var buffer = new byte[100];
            return Encoding.UTF8.GetString(buffer, 0, await socket.ReceiveAsync(buffer, timeout.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            return null;
        }
    }

    private static async Task TellAsync(Socket server)
    {
        try
        {
            while (true)
            {
                using var socket = await server.AcceptAsync();
                await socket.SendAsync(Encoding.UTF8.GetBytes($"from {((IPEndPoint)socket.RemoteEndPoint!).Address}"));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The server ends with its test.
        }
    }
}
