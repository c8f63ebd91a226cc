using System.Diagnostics;
using System.Runtime.InteropServices;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount;

/// <summary>
/// An flist as a read-only, nosuid, nodev file system. The mount belongs to nobody who asked for it: it lives until it is unmounted, whatever happens to the
/// process that started it. What is all here is shown by the kernel alone (engine K, <see cref="ComposedMount"/>); the rest by a daemon that fetches what is touched
/// (engine F), and so is everything where the kernel cannot.
/// </summary>
public static class FlistMount
{
    /// <summary>Mounts and waits until files can be read. Nothing is left behind when it fails.</summary>
    /// <param name="spec">what and where</param>
    /// <param name="patience">how long opening the flist may take, the meta file's download included</param>
    /// <param name="cancellation">ends what was started</param>
    public static async Task<MountOutcome> StartAsync(MountSpec spec, TimeSpan patience, CancellationToken cancellation)
    {
        if (!Directory.Exists(spec.Mountpoint))
            return new MountOutcome.Failed(MountFailure.MachineCannot, $"{spec.Mountpoint} is no directory.");
        if (ComposedMount.TryStart(spec) is { } composed)
            return new MountOutcome.Mounted(composed);
        var host = MountHost.OfMounts;
        var start = new ProcessStartInfo(host.Path, [.. host.Arguments, MountVerbs.Supervisor, .. spec.ToArguments()])
        {
            UseShellExecute = false,
            // The mount outlives whoever asked for it, and stands in nobody's way.
            WorkingDirectory = "/",
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var supervisor = Process.Start(start)!;
        using var patient = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patient.CancelAfter(patience);
        try
        {
            var said = await supervisor.StandardOutput.ReadLineAsync(patient.Token).ConfigureAwait(false);
            if (said == "ready" && Find(spec.Mountpoint) is { } mount)
                return new MountOutcome.Mounted(mount);
            Abandon(spec.Mountpoint, supervisor);
            var last = (await supervisor.StandardError.ReadToEndAsync(CancellationToken.None).ConfigureAwait(false)).Trim().ReplaceLineEndings(" ");
            return said?.Split(": ", 2) is [var failure, var reason] && Enum.TryParse<MountFailure>(failure, out var known)
                ? new MountOutcome.Failed(known, reason)
                : new MountOutcome.Failed(MountFailure.HostFailed, $"The mount's processes ended before it was ready; see {spec.LogPath}. {last}".TrimEnd());
        }
        catch (OperationCanceledException)
        {
            Abandon(spec.Mountpoint, supervisor);
            cancellation.ThrowIfCancellationRequested();
            return new MountOutcome.Failed(MountFailure.TimedOut, $"{spec.Flist} was not mounted within {patience.TotalSeconds:0.#} s; see {spec.LogPath}.");
        }
    }

    /// <summary>
    /// Shows a mounted flist in a second place, as the files of other owners: through the same mount where the kernel maps ids for FUSE (Linux 6.12), else by
    /// a mount of its own with the same cache. A mount of which everything is here by now is the kernel's from then on.
    /// </summary>
    /// <param name="mounted">as it was mounted</param>
    /// <param name="target">an existing directory</param>
    /// <param name="owners">whose the files are there</param>
    /// <param name="patience">as of <see cref="StartAsync"/></param>
    /// <param name="cancellation">as of <see cref="StartAsync"/></param>
    /// <exception cref="IOException">the kernel did not show it</exception>
    public static async Task<MountOutcome> ShowAsync(MountSpec mounted, string target, IdRange owners, TimeSpan patience, CancellationToken cancellation)
    {
        ComposedMount.TakeOver(mounted);
        if (!IdmappedBind.TryCreate(mounted.Mountpoint, target, owners))
            return await StartAsync(mounted with { Mountpoint = target, Owners = owners }, patience, cancellation).ConfigureAwait(false);
        return Find(target) is { } view
            ? new MountOutcome.Mounted(view)
            : new MountOutcome.Failed(MountFailure.MachineCannot, $"{mounted.Mountpoint} is no mounted flist.");
    }

    /// <summary>The flist mounted on a directory, the topmost when there are several; null when there is none.</summary>
    public static MountedFlist? Find(string mountpoint) =>
        MountTable.At(mountpoint) is [.., var line] && MountedFlist.TryRead(line, out var mounted) ? mounted : null;

    /// <summary>Every flist mounted in this mount namespace, idmapped views included.</summary>
    public static IEnumerable<MountedFlist> All() =>
        MountTable.Read().Select(m => MountedFlist.TryRead(m, out var mounted) ? mounted : null).OfType<MountedFlist>();

    /// <summary>
    /// False when the mount is there but nobody serves it any more (both processes were killed): then <see cref="Stop"/> and start again. Waits while a
    /// daemon is being restarted.
    /// </summary>
    public static bool IsServed(string mountpoint) => SysStatFs.StatFs(mountpoint) is Errno.None;

    /// <summary>Unmounts; the supervisor and the daemon end by themselves once no other view of the mount is left.</summary>
    /// <param name="mountpoint">as it was mounted</param>
    /// <param name="detach">when files are still in use: true takes the mount out of the tree now and lets it end with its last user</param>
    /// <returns>false when something is mounted there and still in use</returns>
    /// <exception cref="IOException">the kernel refused for another reason</exception>
    public static bool Stop(string mountpoint, bool detach = false)
    {
        if (Find(mountpoint) is null || SysMount.Unmount(mountpoint, SysMount.UMOUNT_NOFOLLOW | (detach ? SysMount.MNT_DETACH : 0)) == 0)
            return true;
        return (Errno)Marshal.GetLastPInvokeError() switch
        {
            Errno.EBUSY => false,
            // Unmounted by somebody else since it was looked for.
            Errno.EINVAL => true,
            var error => throw new PosixException($"umount {mountpoint}", error),
        };
    }

    // A daemon that is not yet ready ends with its supervisor; one that just became ready ends with the unmount.
    private static void Abandon(string mountpoint, Process supervisor)
    {
        supervisor.Kill();
        supervisor.WaitForExit();
        _ = Stop(mountpoint, detach: true);
    }
}
