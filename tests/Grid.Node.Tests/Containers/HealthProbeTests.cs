using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Node.Containers;
using Grid.Reconciliation;
using Grid.Workloads;

namespace Grid.Node.Tests.Containers;

/// <summary>Real sockets: this process stands for the container, its network namespace for the container's.</summary>
public sealed class HealthProbeTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private static readonly ProcessIdentity Me = Processes.Identify(Environment.ProcessId)!.Value;

    public HealthProbeTests() => Assert.SkipUnless(Environment.IsPrivilegedProcess, "To enter a network namespace takes root.");

    [Fact]
    public async Task A_connection_that_is_accepted_is_healthy_and_is_closed_again()
    {
        using var server = new Server(async (socket, cancel) => Assert.Equal(0, await socket.ReceiveAsync(new byte[1], cancel)));
        Assert.Equal(new HealthAnswer.Healthy(), await AskAsync(server.Port, path: null));
        await server.ServedAsync();
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\n\r\n", null)]
    [InlineData("HTTP/1.0 204 \r\n\r\n", null)]
    [InlineData("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n", null)]
    [InlineData("HTTP/1.1 399\r\n\r\n", null)]
    [InlineData("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", null)]
    [InlineData("HTTP/1.1 400 Bad Request\r\n\r\n", "400 from /healthz on PORT")]
    [InlineData("HTTP/1.1 503 Service Unavailable\r\n\r\n", "503 from /healthz on PORT")]
    [InlineData("HTTP/1.1 999 Much\r\n\r\n", "no HTTP on PORT")]
    [InlineData("HTTP/1.1 2000 Much\r\n\r\n", "no HTTP on PORT")]
    [InlineData("220 mail.example.org ESMTP\r\n", "no HTTP on PORT")]
    [InlineData("HTTP/1.1 20", "connection closed on PORT without an answer")]
    [InlineData("", "connection closed on PORT without an answer")]
    public async Task An_answer_from_200_to_399_is_healthy(string answer, string? why)
    {
        using var server = new Server(async (socket, cancel) =>
        {
            await RequestAsync(socket, cancel);
            // In pieces, as a network may bring it.
            foreach (var piece in Encoding.ASCII.GetBytes(answer).Chunk(5))
                await socket.SendAsync(piece, cancel);
        });
        Assert.Equal(Expected(why, server.Port), await AskAsync(server.Port));
        await server.ServedAsync();
    }

    [Fact]
    public async Task The_request_is_one_get_in_the_name_of_the_workload()
    {
        var request = "";
        using var server = new Server(async (socket, cancel) =>
        {
            request = await RequestAsync(socket, cancel);
            await socket.SendAsync("HTTP/1.1 200 OK\r\n\r\n"u8.ToArray(), cancel);
        });
        Assert.Equal(new HealthAnswer.Healthy(), await AskAsync(server.Port));
        Assert.Equal("GET /healthz HTTP/1.1\r\nHost: web\r\nUser-Agent: grid-node\r\nAccept: */*\r\nConnection: close\r\n\r\n", request);
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\n\r\n", "0123456789", null)]
    [InlineData("", "HTTP/1.1 100 Continue\r\n\r\n", "no HTTP on PORT")]
    [InlineData("HTTP/1.1 100 ", "Continue ", "no HTTP on PORT")]
    public async Task Who_never_stops_talking_is_cut_off(string first, string then, string? why)
    {
        var cut = false;
        using var server = new Server(async (socket, cancel) =>
        {
            await RequestAsync(socket, cancel);
            await socket.SendAsync(Encoding.ASCII.GetBytes(first), cancel);
            try
            {
                while (true)
                    await socket.SendAsync(Encoding.ASCII.GetBytes(then), cancel);
            }
            catch (SocketException)
            {
                cut = true;
            }
        });
        Assert.Equal(Expected(why, server.Port), await AskAsync(server.Port));
        await server.ServedAsync();
        Assert.True(cut);
    }

    [Fact]
    public async Task Who_says_nothing_has_not_answered()
    {
        using var server = new Server(async (socket, cancel) =>
        {
            await RequestAsync(socket, cancel);
            Assert.Equal(0, await socket.ReceiveAsync(new byte[1], cancel));
        });
        Assert.Equal(new HealthAnswer.Unhealthy($"no answer on {server.Port} within 1 s"), await AskAsync(server.Port));
        await server.ServedAsync();
    }

    [Fact]
    public async Task Who_listens_on_its_own_address_alone_is_asked_there()
    {
        var own = IPAddress.Parse("127.0.0.2");
        using var server = new Server((_, _) => Task.CompletedTask, own);
        Assert.Equal(new HealthAnswer.Unhealthy($"connection refused on {server.Port}"), await AskAsync(server.Port, path: null));
        Assert.Equal(new HealthAnswer.Healthy(), await AskAsync(server.Port, path: null, own));
    }

    [Fact]
    public async Task What_has_ended_or_is_another_process_by_now_was_not_asked()
    {
        using var server = new Server((_, _) => Task.CompletedTask);
        Assert.IsType<HealthAnswer.Unknown>(await Probe(server.Port, null).AskAsync(Me with { StartTicks = 1 }, default));
    }

    [Fact]
    public async Task It_can_be_called_off()
    {
        using var cancel = new CancellationTokenSource();
        using var server = new Server(async (socket, ended) =>
        {
            await RequestAsync(socket, ended);
            await cancel.CancelAsync();
            Assert.Equal(0, await socket.ReceiveAsync(new byte[1], ended));
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Probe(server.Port, "/").AskAsync(Me, cancel.Token));
        await server.ServedAsync();
    }

    private static HealthAnswer Expected(string? why, int port) => why is null ? new HealthAnswer.Healthy() : new HealthAnswer.Unhealthy(why.Replace("PORT", $"{port}", StringComparison.Ordinal));

    private static HealthProbe Probe(int port, string? path, params ImmutableArray<IPAddress> addresses) => new("web", new Health(path, port, Second, Second, 1), addresses, TimeProvider.System);

    private static Task<HealthAnswer> AskAsync(int port, string? path = "/healthz", params ImmutableArray<IPAddress> addresses) =>
        Probe(port, path, addresses).AskAsync(Me, TestContext.Current.CancellationToken);

    private static async Task<string> RequestAsync(Socket socket, CancellationToken cancel)
    {
        var (text, buffer) = ("", new byte[1024]);
        while (!text.EndsWith("\r\n\r\n", StringComparison.Ordinal) && await socket.ReceiveAsync(buffer, cancel) is > 0 and var count)
            text += Encoding.ASCII.GetString(buffer, 0, count);
        return text;
    }

    /// <summary>Serves one connection, and what went wrong with it is the test's.</summary>
    private sealed class Server : IDisposable
    {
        private readonly Socket _listener = new(SocketType.Stream, ProtocolType.Tcp);
        private readonly CancellationTokenSource _patience = new(TimeSpan.FromSeconds(20));
        private readonly Task _served;

        public Server(Func<Socket, CancellationToken, Task> serve, IPAddress? address = null)
        {
            _listener.Bind(new IPEndPoint(address ?? IPAddress.Loopback, 0));
            _listener.Listen();
            _served = ServeAsync(serve);
        }

        public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

        public Task ServedAsync() => _served;

        public void Dispose()
        {
            _listener.Dispose();
            _patience.Dispose();
        }

        private async Task ServeAsync(Func<Socket, CancellationToken, Task> serve)
        {
            using var socket = await _listener.AcceptAsync(_patience.Token);
            await serve(socket, _patience.Token);
        }
    }
}
