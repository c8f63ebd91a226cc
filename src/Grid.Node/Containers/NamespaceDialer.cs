using System.Net;
using System.Net.Sockets;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Containers;

/// <summary>
/// Connects from inside a container's network namespace, for health probes and gateways, without starting anything there.
/// A socket belongs to the namespace it was made in, whoever uses it afterwards.
/// </summary>
public static class NamespaceDialer
{
    /// <exception cref="IOException">the process has ended</exception>
    /// <exception cref="SocketException">nobody answers there</exception>
    public static async Task<Socket> ConnectAsync(ProcessIdentity init, IPEndPoint endpoint, CancellationToken cancel)
    {
        using var space = await Task.Run(() => Open(init), cancel).ConfigureAwait(false);
        return await ConnectAsync(space, endpoint, cancel).ConfigureAwait(false);
    }

    /// <param name="space">from <see cref="Open"/></param>
    /// <exception cref="SocketException">nobody answers there</exception>
    public static async Task<Socket> ConnectAsync(SafeFileHandle space, IPEndPoint endpoint, CancellationToken cancel)
    {
        var socket = await Task.Run(() => NamespaceSocket.Make(space, endpoint.AddressFamily, SocketType.Stream), cancel).ConfigureAwait(false);
        try
        {
            socket.NoDelay = true;
            await socket.ConnectAsync(endpoint, cancel).ConfigureAwait(false);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>The namespace itself, for who dials often. It lasts for as long as it is held open.</summary>
    /// <exception cref="IOException">the process has ended</exception>
    public static SafeFileHandle Open(ProcessIdentity init) => TryOpen(init) ?? throw new IOException($"Process {init.Pid} has ended.");

    /// <returns>null when the process has ended</returns>
    internal static SafeFileHandle? TryOpen(ProcessIdentity init)
    {
        try
        {
            var space = Posix.OpenPath($"/proc/{init.Pid}/ns/net");
            // The number may have been given to another since; the open namespace is then not the one that was meant.
            if (Processes.Identify(init.Pid) == init)
                return space;
            space.Dispose();
        }
        catch (System.ComponentModel.Win32Exception e) when (e.NativeErrorCode is Posix.ENOENT or Posix.ESRCH)
        {
            // Ended: null says so.
        }
        return null;
    }
}
