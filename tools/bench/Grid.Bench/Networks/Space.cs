using System.Diagnostics;
using System.Net.Sockets;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Networks;

namespace Grid.Bench.Networks;

/// <summary>A network namespace that lives as long as a sleeper in it.</summary>
internal sealed class Space : IDisposable
{
    private readonly Process _sleeper;

    /// <param name="of">null: a new one</param>
    public Space(Space? of = null)
    {
        string[] how = of is null ? ["/usr/bin/unshare", "--net"] : ["/usr/bin/nsenter", $"--net={of.Path}"];
        _sleeper = Process.Start(new ProcessStartInfo(how[0], [how[1], "/usr/bin/sleep", "600"]))!;
        // Until it is the sleeper itself it may still be in our namespace.
        while (Processes.Read(_sleeper.Id, "comm") != "sleep\n")
            Thread.Yield();
        Init = Processes.Identify(_sleeper.Id) ?? throw new IOException("The sleeper has ended.");
    }

    public ProcessIdentity Init { get; }

    public string Path => $"/proc/{Init.Pid}/ns/net";

    public void Ip(params string[] commands)
    {
        using var inside = NetworkNamespace.Open(Path);
        inside.Ip(commands);
    }

    /// <summary>A socket stays in the namespace it was made in; the thread that entered it ends.</summary>
    public Socket Socket()
    {
        // Made once outside, so that whatever the framework starts for its first socket is not born in there.
        using (new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
        }
        Socket? made = null;
        using var space = Posix.OpenPath(Path);
        var thread = new Thread(() => made = Sched.setns(Posix.Number(space), Sched.CLONE_NEWNET) == 0
            ? new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true } : null);
        thread.Start();
        thread.Join();
        return made ?? throw new IOException("The namespace cannot be entered.");
    }

    public void Dispose()
    {
        _sleeper.Kill();
        _sleeper.WaitForExit();
        _sleeper.Dispose();
    }
}
