using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Gateways;
using Grid.Node.Tests.Networks;

namespace Grid.Node.Tests.Gateways;

public sealed class OrderTests
{
    [Fact]
    public async Task Certificates_are_ordered_several_at_once_and_never_more_than_four()
    {
        await using var gate = new Gate();
        await using var lab = await GatewayLab.SetAsync(asked: gate.EndPoint);
        gate.Front = lab.Options.Http;
        var doors = new List<Node.Containers.ContainerId>();
        foreach (var name in new[] { "a", "b", "c", "d", "e", "f" })
            doors.Add(await lab.OpenAsync(name, $"{name}.gw.example", Tls.Terminate, null));
        // None is proven before four are being proven.
        Wait.For(() => gate.Asked == 4, $"four names to be asked for at once, not {gate.Asked}\n{lab.Log}");
        gate.Open();
        foreach (var door in doors)
            await lab.ServingAsync(door);
        Assert.Equal(4, gate.Most);
    }

    /// <summary>Stands where the authority asks for challenges: keeps every request until it is opened, and then hands it to the front.</summary>
    private sealed class Gate : IAsyncDisposable
    {
        private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        private readonly ConcurrentDictionary<Socket, string> _held = new();
        private readonly TaskCompletionSource _open = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ConcurrentBag<Task> _carried = [];
        private readonly Task _accepting;

        public Gate()
        {
            _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            _listener.Listen();
            _accepting = AcceptAsync();
        }

        public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndPoint!;

        public IPEndPoint? Front { get; set; }

        /// <summary>For how many names somebody waits here now.</summary>
        public int Asked => _held.Values.Distinct().Count();

        public int Most { get; private set; }

        public void Open() => _open.SetResult();

        public async ValueTask DisposeAsync()
        {
            _open.TrySetResult();
            _listener.Dispose();
            await _accepting;
            await Task.WhenAll(_carried);
        }

        private async Task AcceptAsync()
        {
            try
            {
                while (true)
                    _carried.Add(CarryAsync(await _listener.AcceptAsync()));
            }
            catch (SocketException)
            {
                // It is over.
            }
        }

        private async Task CarryAsync(Socket authority)
        {
            using (authority)
            {
                var request = new byte[8192];
                var length = await authority.ReceiveAsync(request);
                var host = Encoding.ASCII.GetString(request, 0, length).Split("\r\n").FirstOrDefault(l => l.StartsWith("Host: ", StringComparison.OrdinalIgnoreCase)) ?? "";
                lock (_held)
                {
                    _held[authority] = host;
                    Most = int.Max(Most, Asked);
                }
                // The authority may have had enough before.
                var gone = authority.ReceiveAsync(new byte[1]);
                await Task.WhenAny(_open.Task, gone);
                _held.TryRemove(authority, out _);
                if (gone.IsCompleted || Front is null)
                    return;
                using var front = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await front.ConnectAsync(Front);
                await front.SendAsync(request.AsMemory(0, length));
                var answer = new byte[8192];
                await authority.SendAsync(answer.AsMemory(0, await front.ReceiveAsync(answer)));
            }
        }
    }
}
