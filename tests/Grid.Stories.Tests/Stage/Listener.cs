using System.Net;
using System.Net.Sockets;

namespace Grid.Stories.Tests.Stage;

/// <summary>Whoever carries what two say to each other, and listens: a TCP port that leads to another and keeps all that passes.</summary>
public sealed class Listener : IAsyncDisposable
{
    private readonly TcpListener _port = new(IPAddress.Loopback, 0);
    private readonly MemoryStream _heard = new();
    private readonly Lock _one = new();
    private readonly Uri _to;
    private readonly Task _accepting;

    public Listener(Uri to)
    {
        _to = to;
        _port.Start();
        _accepting = AcceptAsync();
    }

    public Uri Address => new($"http://127.0.0.1:{((IPEndPoint)_port.LocalEndpoint).Port}");

    public byte[] Heard
    {
        get
        {
            lock (_one)
                return _heard.ToArray();
        }
    }

    public async ValueTask DisposeAsync()
    {
        _port.Stop();
        await _accepting;
        _heard.Dispose();
    }

    private async Task AcceptAsync()
    {
        var calls = new List<Task>();
        try
        {
            while (true)
                calls.Add(CarryAsync(await _port.AcceptTcpClientAsync()));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // Stopped.
        }
        await Task.WhenAll(calls);
    }

    private async Task CarryAsync(TcpClient from)
    {
        using (from)
        {
            using var to = new TcpClient();
            await to.ConnectAsync(_to.Host, _to.Port);
            await Task.WhenAny(CopyAsync(from.GetStream(), to.GetStream()), CopyAsync(to.GetStream(), from.GetStream()));
        }
    }

    private async Task CopyAsync(NetworkStream from, NetworkStream to)
    {
        var buffer = new byte[64 << 10];
        try
        {
            for (int count; (count = await from.ReadAsync(buffer)) > 0;)
            {
                lock (_one)
                    _heard.Write(buffer, 0, count);
                await to.WriteAsync(buffer.AsMemory(0, count));
            }
        }
        catch (IOException)
        {
            // One of them hung up.
        }
    }
}
