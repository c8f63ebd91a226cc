using System.Diagnostics;
using Grid.Flists.Mount.Fuse;
using Grid.Flists.Mount.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount;

/// <summary>
/// Keeps the /dev/fuse descriptor open and a daemon running behind it. As long as this process lives, the mount survives any end of the daemon:
/// the kernel keeps the requests, and the next daemon asks for them again. It reads nothing from outside.
/// </summary>
public static class MountSupervisor
{
    // A daemon that cannot live is tried less and less often; one that was killed is not its own fault.
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);
    private const int SIGKILL = 9;
    private const uint OwnerReadWrite = 0x180;

    // Each daemon bounds what it writes; together they begin anew here.
    private const long LongestLog = 4 << 20;

    /// <summary>Standard output is where the first daemon says "ready", or why not.</summary>
    /// <param name="arguments">a <see cref="MountSpec"/>, handed on as it is</param>
    public static int Run(string[] arguments)
    {
        // Out of the session and process group of who started the mount: their end is not its end.
        _ = UniStd.NewSession();
        var log = arguments[3];
        using var output = Fcntl.Open(log, Fcntl.O_WRONLY | Fcntl.O_CREAT | Fcntl.O_APPEND | Fcntl.O_CLOEXEC, OwnerReadWrite);
        if (output.IsInvalid)
            return Failed(new PosixException($"open {log}").Message);
        using var file = Fcntl.Open("/dev/fuse", Fcntl.O_RDWR | Fcntl.O_CLOEXEC);
        if (file.IsInvalid)
            return Failed(new PosixException("open /dev/fuse").Message);
        using var device = new FuseDevice(file);
        using var memory = SysMman.CreateMemoryFile("flist-mount", SysMman.MFD_CLOEXEC);
        using var ready = new SafeFileHandle(1, ownsHandle: false);
        Span<int> ends = stackalloc int[2];
        if (memory.IsInvalid || UniStd.Pipe(ends, Fcntl.O_CLOEXEC) < 0)
            return Failed(new PosixException("memfd_create, pipe2").Message);
        // Nothing is ever written to it: the daemon sees its end when this process ends.
        using var lifeline = new SafeFileHandle(ends[0], ownsHandle: true);
        using var life = new SafeFileHandle(ends[1], ownsHandle: true);

        var host = MountHost.ThisProgram;
        for (var pause = TimeSpan.Zero; ;)
        {
            var started = Stopwatch.GetTimestamp();
            if (RandomAccess.GetLength(output) > LongestLog)
                RandomAccess.SetLength(output, 0);
            var daemon = Spawn.Start(host.Path, [.. host.Arguments, MountVerbs.Daemon, .. arguments], output, [file, memory, ready, lifeline]);
            var exit = SysWait.ForExit(daemon);
            // Never mounted, or mounted no longer: either way there is nothing left to serve.
            if (device.State != FuseDeviceState.Mounted)
                return exit == 0 ? 0 : 1;
            pause = exit == -SIGKILL || Stopwatch.GetElapsedTime(started) > LongestPause ? TimeSpan.Zero
                : pause == TimeSpan.Zero ? FirstPause
                : TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, LongestPause.Ticks));
            Thread.Sleep(pause);
        }
    }

    private static int Failed(string reason)
    {
        Console.Out.WriteLine($"{MountFailure.MachineCannot}: {reason}");
        return 1;
    }
}
