using System.ComponentModel;
using Grid.Flists.Cache;
using Grid.Flists.Mount.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount;

/// <summary>
/// Engine K: an flist of which everything is here, shown by the kernel alone, as an EROFS image that is mounted from its file (Linux 6.12, where it was built
/// so). Large files are the cache's own objects.
/// </summary>
internal static class ComposedMount
{
    /// <summary>Null when the flist is not all here, or this machine cannot: then a daemon serves it.</summary>
    public static MountedFlist? TryStart(MountSpec spec) => TryPlace(spec, 0) ? FlistMount.Find(spec.Mountpoint) : null;

    /// <summary>
    /// Puts the kernel's mount in the place of a daemon's, when everything is here by now: whoever opens something from here on is answered by the kernel. Views of the
    /// daemon's stay, and it ends with the last of them.
    /// </summary>
    public static void TakeOver(MountSpec served)
    {
        var there = MountTable.At(served.Mountpoint).Select(line => MountedFlist.TryRead(line, out var mount) ? mount : null).ToList();
        // One beneath is of a takeover that was cut short.
        if (there is [.. var beneath, { IsComposed: false }] && (beneath.Exists(m => m is { IsComposed: true }) || TryPlaceBeneath(served)))
            FlistMount.Stop(served.Mountpoint, detach: true);
    }

    /// <summary>Beneath what is there, so that the place is never empty.</summary>
    /// <returns>false when not everything is here, or the kernel does not do it</returns>
    internal static bool TryPlaceBeneath(MountSpec served) => TryPlace(served, SysMount.MOVE_MOUNT_BENEATH);

    /// <summary>Whether this kernel mounts from a file of that cache, keeps to what the file says, and never reads what is not there: tried, without its version.</summary>
    public static bool IsPossible(FlistCache cache)
    {
        try
        {
            using var trial = cache.Try();
            using var mount = MountApi.Mount("erofs", trial.Path, [("ro", null)]);
            var file = $"{PathOf(mount)}/{Trial.Name}";
            return SysXattr.Has(file, Trial.Attribute) && SysXattr.Has(file, Trial.AccessList) && IsUnreadable(file);
        }
        catch (Exception e) when (e is Win32Exception or IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static bool IsUnreadable(string path)
    {
        using var file = File.OpenHandle(path);
        try
        {
            _ = RandomAccess.Read(file, new byte[1], 0);
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    private static bool TryPlace(MountSpec spec, uint where)
    {
        try
        {
            if (WholeFlist.TryFind(spec.CacheDirectory, spec.Flist) is not { } whole)
                return false;
            using var mount = Make(whole, spec.Owners);
            return SysMount.MoveMount(mount, "", Fcntl.AT_FDCWD, spec.Mountpoint, SysMount.MOVE_MOUNT_F_EMPTY_PATH | where) == 0;
        }
        catch (Exception e) when (e is Win32Exception or IOException or UnauthorizedAccessException)
        {
            // A daemon serves it.
            return false;
        }
    }

    private static SafeFileHandle Make(WholeFlist whole, IdRange? owners)
    {
        using var images = OpenDirectory(whole.Images);
        using var objects = OpenDirectory(whole.Objects);
        // By descriptor: a container reads its mount table, and learns nothing of where the machine keeps what.
        var devices = whole.Devices.Select(device => ("device", (string?)$"{PathOf(objects)}/{device}"));
        var mount = ReadAhead.Raise(() => MountApi.Mount("erofs", $"{PathOf(images)}/{whole.Image}", [.. devices, ("ro", null)], programs: true), "erofs", whole.Objects);
        MountApi.MakeReadOnly(mount);
        if (owners is not { } range || IdmappedBind.TryMap(mount, range, 0))
            return mount;
        var error = new PosixException("mount_setattr erofs idmap");
        mount.Dispose();
        throw error;
    }

    private static SafeFileHandle OpenDirectory(string path)
    {
        var directory = Fcntl.Open(path, Fcntl.O_PATH | Fcntl.O_CLOEXEC);
        return directory.IsInvalid ? throw new PosixException($"open {path}") : directory;
    }

    private static string PathOf(SafeFileHandle file) => $"/proc/self/fd/{file.DangerousGetHandle()}";
}
