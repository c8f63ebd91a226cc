using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Containers;

/// <summary>
/// One socket made in another network namespace, by a thread that enters it and ends there: no pooled thread ever does. It allocates nothing meanwhile.
/// Who allocates may be who finds the heap full, and the runtime then makes the thread that collects in the background from it: that one would hold the
/// namespace for as long as there is garbage.
/// </summary>
internal sealed class NamespaceSocket(int space, AddressFamily family, SocketType type)
{
    private const int Stack = 256 * 1024;

    private readonly int _family = SysSocket.Number(family), _type = SysSocket.Number(type) | SysSocket.SOCK_CLOEXEC;
    private int _socket = -1, _error;
    private string _failed = "";

    /// <exception cref="IOException">it could not be made</exception>
    public static Socket Make(SafeFileHandle space, AddressFamily family, SocketType type)
    {
        var held = false;
        try
        {
            // Closed meanwhile, its number would soon be another's, and that may be a namespace too.
            space.DangerousAddRef(ref held);
            var made = new NamespaceSocket(Posix.Number(space), family, type);
            var thread = new Thread(made.Enter, Stack) { IsBackground = true };
            thread.Start();
            thread.Join();
            return made.Take();
        }
        catch (ObjectDisposedException e)
        {
            throw new IOException("No socket could be made in that network: it is over.", e);
        }
        finally
        {
            if (held)
                space.DangerousRelease();
        }
    }

    /// <summary>The calling thread is in that namespace afterwards.</summary>
    internal void Enter()
    {
        if (Sched.setns(space, Sched.CLONE_NEWNET) != 0)
            Fail("setns");
        else if ((_socket = SysSocket.socket(_family, _type, 0)) < 0)
            Fail("socket");
    }

    /// <exception cref="IOException">it could not be made</exception>
    internal Socket Take()
    {
        if (_socket < 0)
        {
            var why = new Win32Exception(_error);
            throw new IOException($"No socket could be made in that network: {_failed}: {why.Message}", why);
        }
        return new Socket(new SafeSocketHandle(_socket, ownsHandle: true));
    }

    private void Fail(string call)
    {
        _error = Marshal.GetLastSystemError();
        _failed = call;
    }
}
