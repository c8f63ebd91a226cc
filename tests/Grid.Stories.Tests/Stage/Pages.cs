using System.Net;
using System.Net.Sockets;
using Grid.Node.Containers;

namespace Grid.Stories.Tests.Stage;

/// <summary>Pages, asked for from within a workload's network. Nothing is started in there: the socket is made in its namespace and used from here.</summary>
internal static class Pages
{
    /// <returns>null when nobody answers in that time</returns>
    public static async Task<string?> TryAsync(ProcessIdentity from, IPEndPoint at, string page, TimeSpan patience)
    {
        using var limit = new CancellationTokenSource(patience);
        using var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectCallback = async (_, cancel) => new NetworkStream(await NamespaceDialer.ConnectAsync(from, at, cancel), ownsSocket: true),
        };
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
