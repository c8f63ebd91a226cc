using System.Collections.Concurrent;
using System.Net.Security;
using System.Net.Sockets;
using Grid.Gateways;
using Grid.Node.Containers;
using Microsoft.AspNetCore.Connections;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Gateways.Front;

/// <summary>One route while it is served: its namespace held open, its connections, its certificate. It ends with all that goes through it.</summary>
internal sealed class ServedRoute : IDisposable
{
    private readonly SafeFileHandle _space;
    private readonly ConcurrentDictionary<ConnectionContext, bool> _connections = new();
    private readonly CancellationTokenSource _over = new();
    private int _open;
    private long _sent, _received;

    /// <param name="before">what went through it before, under another front say; null when nothing was counted</param>
    /// <exception cref="IOException">its place has ended</exception>
    public ServedRoute(ContainerId id, WrittenRoute written, RouteTraffic? before)
    {
        (_sent, _received, Told) = (before?.Sent ?? 0, before?.Received ?? 0, before);
        (Id, Written, _space) = (id, written, NamespaceDialer.Open(written.Place));
        Over = _over.Token;
        Http = new HttpMessageInvoker(new SocketsHttpHandler
        {
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            AutomaticDecompression = System.Net.DecompressionMethods.None,
            ActivityHeadersPropagator = null,
            EnableMultipleHttp2Connections = true,
            ConnectTimeout = FrontLimits.Dial,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
            ConnectCallback = async (_, cancel) => new NetworkStream(await DialAsync(cancel), ownsSocket: true),
        });
    }

    public ContainerId Id { get; }

    public WrittenRoute Written { get; }

    public Route Route => Written.Route;

    /// <summary>Where requests are sent; the dialler knows who that is.</summary>
    public string Prefix => $"http://{Route.Backend}/";

    public HttpMessageInvoker Http { get; }

    public CancellationToken Over { get; }

    /// <summary>What TLS is ended with; null until there is one.</summary>
    public SslStreamCertificateContext? Certificate { get; set; }

    public bool IsServing => Route.Tls is Tls.Passthrough || Certificate is not null;

    public RouteTraffic Traffic => new(Interlocked.Read(ref _sent), Interlocked.Read(ref _received));

    /// <summary>Of it, what was written down last; null when nothing was.</summary>
    public RouteTraffic? Told { get; set; }

    public void CountSent(long bytes) => Interlocked.Add(ref _sent, bytes);

    public void CountReceived(long bytes) => Interlocked.Add(ref _received, bytes);

    /// <returns>a connection to the backend, from the gateway's place in its network</returns>
    public Task<Socket> DialAsync(CancellationToken cancel) => NamespaceDialer.ConnectAsync(_space, Route.Backend, cancel);

    /// <returns>false when it has as many connections as it may have, or is over</returns>
    public bool Enter(ConnectionContext connection)
    {
        if (Interlocked.Increment(ref _open) > FrontLimits.ConnectionsOfRoute)
        {
            Interlocked.Decrement(ref _open);
            return false;
        }
        _connections[connection] = true;
        // Told of the end before it was in the list: it cuts itself.
        if (Over.IsCancellationRequested)
            connection.Abort();
        return true;
    }

    public void Leave(ConnectionContext connection)
    {
        if (_connections.TryRemove(connection, out _))
            Interlocked.Decrement(ref _open);
    }

    public void Dispose()
    {
        _over.Cancel();
        foreach (var connection in _connections.Keys)
            connection.Abort(new ConnectionAbortedException("The route is gone."));
        Http.Dispose();
        _space.Dispose();
        _over.Dispose();
    }
}
