using System.Net;
using System.Net.Sockets;
using Grid.Node.Containers;

namespace Grid.Stories.Tests.Stage;

/// <summary>Pages, asked for from within a network namespace. Nothing is started in there: the socket is made in it and used from here.</summary>
internal static class Pages
{
    /// <param name="from">a process of the workload that asks</param>
    /// <returns>null when nobody answers in that time</returns>
    public static Task<string?> TryAsync(ProcessIdentity from, IPEndPoint at, string page, TimeSpan patience) =>
        TryAsync(cancel => NamespaceDialer.ConnectAsync(from, at, cancel), at, page, patience);

    /// <param name="space">the namespace of whoever asks</param>
    /// <returns>null when nobody answers in that time</returns>
    public static Task<string?> TryAsync(string space, IPEndPoint at, string page, TimeSpan patience) => TryAsync(
        async cancel =>
        {
            var socket = UnderlayNetwork.Inside(space, () => new Socket(at.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
            try
            {
                await socket.ConnectAsync(at, cancel);
                return socket;
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        },
        at, page, patience);

    private static async Task<string?> TryAsync(Func<CancellationToken, Task<Socket>> connect, IPEndPoint at, string page, TimeSpan patience)
    {
        using var limit = new CancellationTokenSource(patience);
        using var handler = new SocketsHttpHandler { UseProxy = false, ConnectCallback = async (_, cancel) => new NetworkStream(await connect(cancel), ownsSocket: true) };
        using var http = new HttpClient(handler);
        try
        {
            return await http.GetStringAsync(new Uri($"http://{at}/{page}"), limit.Token);
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
        {
            return null;
        }
    }
}
