using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Grid.Gateways;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Tests.Networks;
using Grid.Reconciliation;

namespace Grid.Node.Tests.Gateways;

/// <summary>What a gateway's clients send and get is counted to the byte, on their side of TLS.</summary>
public sealed class TrafficTests
{
    private const string Shop = "shop.gw.example", Own = "own.example.org";
    private const int Body = 1 << 20;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_route_counts_what_its_clients_sent_and_got_whoever_ends_tls()
    {
        await using var lab = await GatewayLab.SetAsync();
        using var own = Upstream.SelfSigned(Own);
        var door = await lab.OpenAsync("door", Shop, Tls.Terminate, FrontTests.EchoAsync);
        var through = await lab.OpenAsync("through", Own, Tls.Passthrough, FrontTests.EchoAsync, own);
        await lab.ServingAsync(door);
        await lab.ServingAsync(through);
        // Who asks for nobody is counted for nobody.
        await Assert.ThrowsAnyAsync<Exception>(() => PostAsync(lab, "other.gw.example", own));
        var (first, second) = (await PostAsync(lab, Shop, own), await PostAsync(lab, Own, own));
        Counted(lab, door, first);
        Counted(lab, through, second);

        // The next front goes on from there.
        var (route, place) = (lab.Seen(door)!.Route!, lab.Host.PlaceOf(door)!.Value);
        Processes.Signal(FrontProcess.Read(lab.Host.Files)!.Value, 9);
        Wait.For(() => lab.Seen(door) is { Whole: false }, "its end to be seen");
        Assert.Equal(new Outcome.Done(), await lab.Host.OpenAsync(door, route, place));
        await lab.ServingAsync(door);
        var third = await PostAsync(lab, Shop, own);
        Counted(lab, door, new RouteTraffic(first.Sent + third.Sent, first.Received + third.Received));
        Counted(lab, through, second);

        // And it is there to be read once the gateway has left its network: also what passed since the last sweep.
        var last = await PostAsync(lab, Own, own);
        Assert.Equal(new Outcome.Done(), await lab.Host.CloseAsync(through));
        Assert.Equal(new Outcome.Done(), await lab.Host.LeaveAsync(through));
        Assert.Equal(new RouteTraffic(second.Sent + last.Sent, second.Received + last.Received), lab.Host.Traffic(through));
        Assert.Equal((null, false), (lab.Seen(through)!.Route, lab.Seen(through)!.Serving));
        Assert.Equal(new Outcome.Done(), await lab.Host.LeaveAsync(through));
        Assert.Equal((null, null), (lab.Host.Traffic(through), lab.Seen(through)));
    }

    private static void Counted(GatewayLab lab, ContainerId id, RouteTraffic traffic) =>
        Wait.For(() => lab.Host.Traffic(id) == traffic, $"{id} to count {traffic}, not {lab.Host.Traffic(id)}");

    /// <returns>what the client's own socket saw, as the gateway should</returns>
    private static async Task<RouteTraffic> PostAsync(GatewayLab lab, string name, X509Certificate2 own)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(lab.Options.Https, Cancel);
        await using var counted = new CountedStream(new NetworkStream(socket, ownsSocket: true));
        await using var tls = new SslStream(counted);
        var how = lab.Trusting(name);
        if (name == Own)
            how = new SslClientAuthenticationOptions { TargetHost = name, RemoteCertificateValidationCallback = (_, shown, _, _) => shown!.GetCertHashString() == own.GetCertHashString() };
        await tls.AuthenticateAsClientAsync(how, Cancel);
        await tls.WriteAsync(Encoding.ASCII.GetBytes($"POST / HTTP/1.1\r\nHost: {name}\r\nContent-Length: {Body}\r\nConnection: close\r\n\r\n"), Cancel);
        await tls.WriteAsync(new byte[Body], Cancel);
        var (got, buffer) = (0, new byte[64 << 10]);
        while (await tls.ReadAsync(buffer, Cancel) is > 0 and var count)
            got += count;
        Assert.InRange(got, Body, 2 * Body);
        // Whatever follows the end of TLS.
        while (await counted.ReadAsync(buffer, Cancel) > 0)
            continue;
        return new RouteTraffic(Sent: counted.Taken, Received: counted.Given);
    }

    private sealed class CountedStream(Stream inner) : Stream
    {
        public long Given { get; private set; }

        public long Taken { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var count = await inner.ReadAsync(buffer, cancellationToken);
            Taken += count;
            return count;
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await inner.WriteAsync(buffer, cancellationToken);
            Given += buffer.Length;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Flush() => inner.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
