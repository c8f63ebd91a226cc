using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Cli.Up;

/// <summary>
/// Fetches a page from within a container's network: its own loopback, or what it is connected to. Nothing is started in it: the socket is made on a
/// thread that entered its network namespace, and belongs there ever after.
/// </summary>
internal static partial class NamespacePage
{
    private const int CLONE_NEWNET = 0x4000_0000;

    /// <returns>null while nobody answers inside, or with an error</returns>
    public static async Task<string?> TryGetAsync(int pid, IPEndPoint at, CancellationToken cancel)
    {
        try
        {
            return await GetAsync(pid, at, cancel);
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            return null;
        }
    }

    /// <exception cref="IOException">the process is gone</exception>
    /// <exception cref="HttpRequestException">nobody answers inside</exception>
    public static async Task<string> GetAsync(int pid, IPEndPoint at, CancellationToken cancel)
    {
        using var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectCallback = async (_, token) =>
            {
                var socket = SocketInside(pid);
                await socket.ConnectAsync(at, token);
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        using var http = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(5), MaxResponseContentBufferSize = 1 << 20 };
        return await http.GetStringAsync(new Uri($"http://{at}/"), cancel);
    }

    private static Socket SocketInside(int pid)
    {
        Socket? socket = null;
        Exception? failed = null;
        using var space = File.OpenHandle($"/proc/{pid}/ns/net");
        // A thread that entered a namespace is not given back: it makes the socket and ends.
        var thread = new Thread(() =>
        {
            try
            {
                if (setns(space, CLONE_NEWNET) != 0)
                    throw new IOException($"setns: {Marshal.GetLastPInvokeErrorMessage()}");
                socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                failed = e;
            }
        });
        thread.Start();
        thread.Join();
        return socket ?? throw new IOException($"The network of process {pid} cannot be entered: {failed?.Message}");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(SafeFileHandle fd, int type);
}
