using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using Grid.Gateways;
using Microsoft.AspNetCore.Connections;

namespace Grid.Node.Gateways.Front;

/// <summary>
/// Meets every connection of the https port before TLS: reads which name it wants, hands it through unread where the route says so, else lets it on
/// to TLS and HTTP. Nothing that was read is consumed.
/// </summary>
internal sealed class Doorkeeper(RouteTable routes)
{
    private static readonly object RouteKey = new();

    // A fatal alert, unrecognized_name (RFC 8446 §6.2): the one plain word that TLS has for it.
    private static readonly byte[] NoSuchName = [0x15, 3, 3, 0, 2, 2, 112];

    public static ServedRoute? RouteOf(IDictionary<object, object?> items) => items.TryGetValue(RouteKey, out var route) ? (ServedRoute?)route : null;

    public ConnectionDelegate Before(ConnectionDelegate tls) => connection => MeetAsync(connection, tls);

    private async Task MeetAsync(ConnectionContext connection, ConnectionDelegate tls)
    {
        if (await NameAsync(connection) is not { } name)
            return;
        if (routes.Find(name) is not { IsServing: true } route)
        {
            await connection.Transport.Output.WriteAsync(NoSuchName);
            return;
        }
        if (!route.Enter(connection))
            return;
        try
        {
            connection.Items[RouteKey] = route;
            connection.Transport = new CountedTransport(connection.Transport, route);
            if (route.Route.Tls is Tls.Passthrough)
                await ThroughAsync(connection, route);
            else
                await tls(connection);
        }
        finally
        {
            route.Leave(connection);
        }
    }

    private static async Task<string?> NameAsync(ConnectionContext connection)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed);
        deadline.CancelAfter(FrontLimits.Hello);
        try
        {
            while (true)
            {
                var result = await connection.Transport.Input.ReadAsync(deadline.Token);
                var read = ClientHello.Read(result.Buffer, out var name);
                // Nothing is consumed; what was seen and not enough is waited upon.
                connection.Transport.Input.AdvanceTo(result.Buffer.Start, read is HelloRead.Partial ? result.Buffer.End : result.Buffer.Start);
                if (read is not HelloRead.Partial || result.IsCompleted)
                    return read is HelloRead.Named ? name : null;
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            return null;
        }
    }

    private static async Task ThroughAsync(ConnectionContext connection, ServedRoute route)
    {
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed, route.Over);
        try
        {
            silence.CancelAfter(FrontLimits.Dial);
            using var backend = await route.DialAsync(silence.Token);
            // One that is half closed still carries the other way.
            await Task.WhenAll(OutAsync(connection.Transport.Input, backend, silence), BackAsync(backend, connection.Transport.Output, silence));
        }
        catch (Exception e) when (e is SocketException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            // Either side is gone, or silent for too long: both are let go.
            connection.Abort();
        }
    }

    private static async Task OutAsync(PipeReader from, Socket to, CancellationTokenSource silence)
    {
        try
        {
            while (true)
            {
                var result = await from.ReadAsync(silence.Token);
                silence.CancelAfter(FrontLimits.Silence);
                foreach (var part in result.Buffer)
                {
                    for (var left = part; !left.IsEmpty;)
                        left = left[await to.SendAsync(left, SocketFlags.None, silence.Token)..];
                }
                from.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                {
                    to.Shutdown(SocketShutdown.Send);
                    return;
                }
            }
        }
        catch
        {
            await silence.CancelAsync();
            throw;
        }
    }

    private static async Task BackAsync(Socket from, PipeWriter to, CancellationTokenSource silence)
    {
        try
        {
            while (true)
            {
                var read = await from.ReceiveAsync(to.GetMemory(16_384), SocketFlags.None, silence.Token);
                silence.CancelAfter(FrontLimits.Silence);
                if (read == 0)
                    break;
                to.Advance(read);
                if ((await to.FlushAsync(silence.Token)).IsCompleted)
                    return;
            }
            await to.CompleteAsync();
        }
        catch
        {
            await silence.CancelAsync();
            throw;
        }
    }
}
