using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Grid.Bench.Networks;

/// <summary>One way between two namespaces, and what was measured of it.</summary>
internal sealed class Row(string name, Space from, Space to, IPAddress fromAddress, IPAddress toAddress)
{
    private const int Port = 5001;

    private readonly List<double> _rates = [];
    private readonly List<double> _turns = [];

    public string Name => name;

    /// <summary>Millions of bytes a second.</summary>
    public double Rate => Median(_rates);

    /// <summary>Microseconds for a byte there and a byte back.</summary>
    public double Turn => Median(_turns);

    /// <summary>Until the first byte has passed: tunnels shake hands first, and try again after five seconds.</summary>
    public async Task WarmAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            try
            {
                var (near, far) = await ConnectAsync(patience.Token);
                near.Dispose();
                far.Dispose();
                return;
            }
            catch (SocketException) when (!patience.IsCancellationRequested)
            {
                await Task.Delay(100, patience.Token);
            }
        }
    }

    public async Task MeasureAsync(TimeSpan streaming, int turns)
    {
        var (near, far) = await ConnectAsync(default);
        using (near)
        using (far)
        {
            var echo = Task.Run(() => Echo(far, turns));
            var one = new byte[1];
            var watch = Stopwatch.StartNew();
            for (var i = 0; i < turns; i++)
            {
                near.Send(one);
                near.Receive(one);
            }
            _turns.Add(watch.Elapsed.TotalMicroseconds / turns);
            await echo;

            var received = Task.Run(() => Drain(far));
            var block = new byte[1 << 17];
            watch.Restart();
            while (watch.Elapsed < streaming)
                near.Send(block);
            near.Shutdown(SocketShutdown.Send);
            _rates.Add(await received / watch.Elapsed.TotalMicroseconds);
        }
    }

    private async Task<(Socket Near, Socket Far)> ConnectAsync(CancellationToken cancel)
    {
        using var listener = to.Socket();
        listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        listener.Bind(new IPEndPoint(toAddress, Port));
        listener.Listen(1);
        var near = from.Socket();
        try
        {
            near.Bind(new IPEndPoint(fromAddress, 0));
            await near.ConnectAsync(new IPEndPoint(toAddress, Port), cancel);
            var far = await listener.AcceptAsync(cancel);
            far.NoDelay = true;
            return (near, far);
        }
        catch
        {
            near.Dispose();
            throw;
        }
    }

    private static void Echo(Socket socket, int turns)
    {
        var one = new byte[1];
        for (var i = 0; i < turns; i++)
        {
            socket.Receive(one);
            socket.Send(one);
        }
    }

    private static long Drain(Socket socket)
    {
        var block = new byte[1 << 17];
        var total = 0L;
        while (socket.Receive(block) is > 0 and var length)
            total += length;
        return total;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
