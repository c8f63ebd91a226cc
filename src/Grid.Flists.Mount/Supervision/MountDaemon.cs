using System.Text;
using Grid.Flists.Content;
using Grid.Flists.Hub;
using Grid.Flists.Mount.Fuse;
using Grid.Flists.Mount.Interop;
using Grid.Flists.Mount.Serving;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount;

/// <summary>
/// Serves one mount until it is unmounted. It may be killed at any moment: what must outlive it is in the kernel and in the descriptors that the
/// supervisor keeps.
/// </summary>
public static class MountDaemon
{
    // Descriptors handed over by the supervisor.
    private const int DeviceFile = 3;
    private const int MemoryFile = 4;
    private const int ReadyFile = 5;
    private const int LifelineFile = 6;

    /// <param name="arguments">a <see cref="MountSpec"/></param>
    /// <param name="open">opens the flist; it throws FlistFormatException when the bytes are wrong and IOException when they cannot be had</param>
    public static int Run(string[] arguments, Func<MountSpec, CancellationToken, Task<OpenedFlist>> open)
    {
        var log = new MountLog(Console.Error, TimeProvider.System);
        using var ready = new FileStream(new SafeFileHandle(ReadyFile, ownsHandle: true), FileAccess.Write, 1);
        try
        {
            var spec = MountSpec.FromArguments(arguments);
            using var device = new FuseDevice(new SafeFileHandle(DeviceFile, ownsHandle: true));
            if (device.State == FuseDeviceState.Unmounted)
                return 0;
            var lifeline = new Lifeline(new SafeFileHandle(LifelineFile, ownsHandle: true), spec.Mountpoint, device.State == FuseDeviceState.Mounted, log);
            var flist = open(spec, CancellationToken.None).GetAwaiter().GetResult();
            if (Serve(spec, flist, device, lifeline, log, ready) && flist.Content is IAsyncDisposable content)
                content.DisposeAsync().AsTask().GetAwaiter().GetResult();
            return 0;
        }
        catch (Exception e)
        {
            log.Write(e.ToString());
            Say(ready, $"{FailureOf(e)}: {e.Message.ReplaceLineEndings(" ")}");
            return 1;
        }
    }

    // True when no read is under way any more.
    private static bool Serve(MountSpec spec, OpenedFlist flist, FuseDevice device, Lifeline lifeline, MountLog log, FileStream ready)
    {
        var tree = new FlistTree(flist.Meta, spec.Owners);
        using var memory = new MountMemory(new SafeFileHandle(MemoryFile, ownsHandle: true), flist.Meta.Count);
        // A content that blocks its thread while it fetches must not leave the others without one.
        ThreadPool.SetMinThreads(32, 4);
        var threads = Math.Clamp(Environment.ProcessorCount * 2, 4, 16);
        using var unmounted = new CancellationTokenSource();
        if (device.State == FuseDeviceState.Fresh)
        {
            lifeline.WhileSupervised(() => Mount(spec, flist.Meta));
            // INIT, which the kernel sends first of all: with it is known what it can do.
            var first = new FlistServer(tree, flist.Content, device, memory, log, threads, unmounted.Token);
            Take(device, first, log, () => memory.Negotiated == 0);
        }
        else if (memory.CanResend)
            log.Write(device.Resend() ? "serving again; unanswered requests were asked for again" : "serving again; the kernel does not ask again");
        else
            log.Write("serving again; what was unanswered has failed, for this kernel cannot ask again");
        using var ours = memory.CanResend ? device : device.Clone();
        var server = new FlistServer(tree, flist.Content, ours, memory, log, threads, unmounted.Token);

        var serving = new Thread[threads];
        for (var i = 0; i < threads; i++)
            (serving[i] = new Thread(() => Take(ours, server, log, () => true), 256 * 1024) { Name = $"fuse {i}" }).Start();
        ReadAhead.Raise(spec.Mountpoint);
        lifeline.Ready();
        Say(ready, "ready");
        ready.Dispose();
        foreach (var thread in serving)
            thread.Join();
        log.Write("unmounted");
        unmounted.Cancel();
        return server.WaitForEnd(TimeSpan.FromSeconds(5));
    }

    private static void Mount(MountSpec spec, MetaFile meta)
    {
        var options = $"fd={DeviceFile},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions";
        var source = new MountedFlist(spec.Mountpoint, spec.Flist, meta.Root).Source;
        if (SysMount.Mount(source, spec.Mountpoint, MountedFlist.Served, SysMount.MS_RDONLY | SysMount.MS_NOSUID | SysMount.MS_NODEV, options) < 0)
            throw new PosixException($"mount {spec.Mountpoint}");
    }

    // A failure of the device ends the process: the supervisor starts another, which asks again for what was not answered, where the kernel can (Linux 6.9).
    private static void Take(FuseDevice device, FlistServer server, MountLog log, Func<bool> more)
    {
        var request = GC.AllocateUninitializedArray<byte>(FuseDevice.RequestSize, pinned: true);
        var scratch = GC.AllocateUninitializedArray<byte>(FlistServer.ScratchSize, pinned: true);
        try
        {
            int length;
            while (more() && (length = device.Read(request)) >= 0)
            {
                if (length > 0)
                    server.Handle(request.AsSpan(0, length), scratch);
            }
        }
        catch (PosixException e)
        {
            log.Write(e.Message);
            Environment.Exit(1);
        }
    }

    internal static MountFailure FailureOf(Exception e) => e switch
    {
        FormatException or FlistReadException { InnerException: FormatException or HubException { Failure: HubFailure.WrongBytes } } => MountFailure.FlistInvalid,
        PosixException => MountFailure.MachineCannot,
        IOException or HttpRequestException or OperationCanceledException => MountFailure.FlistUnavailable,
        _ => MountFailure.HostFailed,
    };

    private static void Say(FileStream ready, string line)
    {
        try
        {
            ready.Write(Encoding.UTF8.GetBytes(line + "\n"));
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Who started the mount has heard enough, or is gone.
        }
    }
}
