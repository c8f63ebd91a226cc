using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Reconciliation;
using Grid.Workloads;

namespace Grid.Node.Containers;

/// <summary>
/// Asks a container once how it is, by a socket of its own network namespace: on its loopback, and where nobody listens there on its addresses,
/// for some listen to those alone. At most <see cref="MaximumHead"/> of its answer is kept and <see cref="MaximumBody"/> read.
/// </summary>
/// <param name="addresses">its own, in its networks</param>
internal sealed class HealthProbe(string name, Health health, ImmutableArray<IPAddress> addresses, TimeProvider time)
{
    private const int MaximumHead = 16 << 10, MaximumBody = 64 << 10;

    /// <summary>A server whose answer is not read to its end may log an error each time.</summary>
    private static readonly TimeSpan Courtesy = TimeSpan.FromMilliseconds(250);

    // A socket of another namespace takes a thread of its own to be made, for a moment. To wait for an answer takes none, so that who is slow holds up nobody.
    private static readonly SemaphoreSlim Making = new(4);

    private readonly ReadOnlyMemory<byte> _request = Encoding.ASCII.GetBytes($"GET {health.Path} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: grid-node\r\nAccept: */*\r\nConnection: close\r\n\r\n");

    /// <exception cref="OperationCanceledException">by <paramref name="cancel"/>, and by nothing else</exception>
    public async Task<HealthAnswer> AskAsync(ProcessIdentity init, CancellationToken cancel)
    {
        using var timeout = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancel, timeout.Token);
        try
        {
            foreach (var address in addresses.Prepend(IPAddress.Loopback))
            {
                using var socket = await MakeAsync(init, address.AddressFamily, cancel).ConfigureAwait(false);
                // Its own time begins when it can be asked.
                if (address.Equals(IPAddress.Loopback))
                    timeout.CancelAfter(health.Within);
                try
                {
                    await socket.ConnectAsync(address, health.Port, ending.Token).ConfigureAwait(false);
                }
                catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionRefused)
                {
                    continue;
                }
                return health.Path is null ? new HealthAnswer.Healthy() : await GetAsync(socket, ending.Token).ConfigureAwait(false);
            }
            return new HealthAnswer.Unhealthy($"connection refused on {health.Port}");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return new HealthAnswer.Unhealthy($"no answer on {health.Port} within {health.Within.TotalSeconds:0} s");
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown)
        {
            return new HealthAnswer.Unhealthy($"connection cut on {health.Port}");
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            // It has ended, or this machine has no socket for it now: neither is an answer of its.
            return new HealthAnswer.Unknown(e.Message);
        }
    }

    private static async Task<Socket> MakeAsync(ProcessIdentity init, AddressFamily family, CancellationToken cancel)
    {
        await Making.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            // Not cancelled once begun: a socket that is made has an owner.
            return await Task.Run(() =>
            {
                using var space = NamespaceDialer.Open(init);
                return NamespaceSocket.Make(space, family, SocketType.Stream);
            }, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            Making.Release();
        }
    }

    private async Task<HealthAnswer> GetAsync(Socket socket, CancellationToken cancel)
    {
        for (var rest = _request; !rest.IsEmpty;)
            rest = rest[await socket.SendAsync(rest, cancel).ConfigureAwait(false)..];
        var head = new byte[MaximumHead];
        for (var length = 0; length < head.Length;)
        {
            var count = await socket.ReceiveAsync(head.AsMemory(length), cancel).ConfigureAwait(false);
            length += count;
            if (StatusOf(head.AsSpan(0, length), out var status))
            {
                await ReadOnAsync(socket, head, cancel).ConfigureAwait(false);
                return status is null ? new HealthAnswer.Unhealthy($"no HTTP on {health.Port}")
                    : status is >= 200 and <= 399 ? new HealthAnswer.Healthy()
                    : new HealthAnswer.Unhealthy($"{status} from {health.Path} on {health.Port}");
            }
            if (count == 0)
                return new HealthAnswer.Unhealthy($"connection closed on {health.Port} without an answer");
        }
        return new HealthAnswer.Unhealthy($"no HTTP on {health.Port}");
    }

    /// <summary>RFC 9112 §4: HTTP-version SP status-code SP [reason-phrase]. What says 1xx announces another, RFC 9110 §15.2.</summary>
    /// <param name="status">null when this is no answer</param>
    /// <returns>false while more must be read</returns>
    internal static bool StatusOf(ReadOnlySpan<byte> answer, out int? status)
    {
        const int Line = 12;
        status = null;
        while (true)
        {
            var version = "HTTP/1."u8;
            var known = int.Min(answer.Length, version.Length);
            if (!answer[..known].SequenceEqual(version[..known]))
                return true;
            if (answer.Length <= Line)
                return false;
            if (!char.IsAsciiDigit((char)answer[7]) || answer[8] != ' ' || answer[9] is < (byte)'1' or > (byte)'5' || !char.IsAsciiDigit((char)answer[10]) || !char.IsAsciiDigit((char)answer[11])
                || answer[Line] is not ((byte)' ' or (byte)'\r' or (byte)'\n'))
                return true;
            var code = (answer[9] - '0') * 100 + (answer[10] - '0') * 10 + (answer[11] - '0');
            if (code >= 200)
            {
                status = code;
                return true;
            }
            var end = answer.IndexOf("\r\n\r\n"u8);
            if (end < 0)
                return false;
            answer = answer[(end + 4)..];
        }
    }

    private async Task ReadOnAsync(Socket socket, byte[] buffer, CancellationToken cancel)
    {
        using var enough = new CancellationTokenSource(Courtesy, time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancel, enough.Token);
        try
        {
            for (int count, total = 0; total < MaximumBody && (count = await socket.ReceiveAsync(buffer, ending.Token).ConfigureAwait(false)) > 0;)
                total += count;
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            // It had its answer in.
        }
    }
}
