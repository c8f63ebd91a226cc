using System.Runtime.InteropServices;
using System.Text;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes.Interop;

/// <summary>sys/mount.h: file systems mounted step by step (fsopen(2), fsconfig(2), fsmount(2), move_mount(2)).</summary>
internal static unsafe partial class MountApi
{
    private const int AT_FDCWD = -100, AT_EMPTY_PATH = 0x1000, UMOUNT_NOFOLLOW = 8;
    private const uint MOVE_MOUNT_F_EMPTY_PATH = 4, ClosedOnExec = 1, OPEN_TREE_CLONE = 1, OPEN_TREE_CLOEXEC = 0x80000;
    private const uint MOUNT_ATTR_RDONLY = 1, MOUNT_ATTR_NOSUID = 2, MOUNT_ATTR_NODEV = 4, MOUNT_ATTR_NOEXEC = 8;
    private const uint FSCONFIG_SET_FLAG = 0, FSCONFIG_SET_STRING = 1, FSCONFIG_CMD_CREATE = 6;

    /// <summary>Mounts it where nobody sees it: noexec, nosuid, nodev. It goes with the descriptor, unless it is placed before.</summary>
    /// <exception cref="System.ComponentModel.Win32Exception">with what the file system said of it</exception>
    /// <param name="options">one without a value is a flag</param>
    /// <param name="devices">device nodes in it can be opened</param>
    public static SafeFileHandle Mount(string type, string source, IEnumerable<(string Key, string? Value)> options, bool devices = false)
    {
        var context = fsopen(type, ClosedOnExec);
        if (context < 0)
            throw Posix.Failed($"fsopen {type}");
        using var file = new SafeFileHandle(context, true);
        foreach (var (key, value) in options.Prepend(("source", source)))
        {
            if (fsconfig(context, value is null ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key, value, 0) != 0)
                throw Failed(context, $"{key}={value}");
        }
        if (fsconfig(context, FSCONFIG_CMD_CREATE, null, null, 0) != 0)
            throw Failed(context, $"mount {source}");
        var mount = fsmount(context, ClosedOnExec, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | (devices ? 0 : MOUNT_ATTR_NODEV));
        return mount >= 0 ? new SafeFileHandle(mount, true) : throw Failed(context, "fsmount");
    }

    public static void MakeReadOnly(SafeFileHandle mount) => Set(mount, MOUNT_ATTR_RDONLY);

    /// <summary>Shows a directory in a second place: read-only, nosuid, nodev.</summary>
    public static void Show(string source, string target)
    {
        var tree = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (tree < 0)
            throw Posix.Failed($"open_tree {source}");
        using var mount = new SafeFileHandle(tree, true);
        Set(mount, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        Place(mount, target);
    }

    public static void Place(SafeFileHandle mount, string target)
    {
        if (move_mount(Posix.Number(mount), "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) != 0)
            throw Posix.Failed($"move_mount {target}");
    }

    /// <returns>false when files in it are open</returns>
    public static bool Unmount(string target)
    {
        if (umount2(target, UMOUNT_NOFOLLOW) == 0)
            return true;
        return Marshal.GetLastSystemError() is FcntlH.EBUSY ? false : throw Posix.Failed($"umount {target}");
    }

    private static void Set(SafeFileHandle mount, uint what)
    {
        // struct mount_attr: what is set, what is cleared, propagation, user namespace.
        var attributes = stackalloc ulong[4] { what, 0, 0, 0 };
        if (mount_setattr(Posix.Number(mount), "", AT_EMPTY_PATH, attributes, 32) != 0)
            throw Posix.Failed("mount_setattr");
    }

    // What went wrong stands in the context, one message per read: "e ext4: …".
    private static System.ComponentModel.Win32Exception Failed(int context, string what)
    {
        var errno = Marshal.GetLastSystemError();
        var said = new StringBuilder();
        var buffer = stackalloc byte[512];
        for (nint count; (count = read(context, buffer, 512)) > 0;)
            said.Append("; ").Append(Encoding.UTF8.GetString(buffer, (int)count).Trim());
        return new System.ComponentModel.Win32Exception(errno, $"{what}: {Marshal.GetPInvokeErrorMessage(errno)}{said}");
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int fsopen(string type, uint flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int fsconfig(int context, uint command, string? key, string? value, int aux);

    [LibraryImport("libc")]
    private static partial int fsmount(int context, uint flags, uint attributes);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open_tree(int from, string path, uint flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount_setattr(int from, string path, uint flags, ulong* attributes, nuint size);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int move_mount(int from, string fromPath, int to, string toPath, uint flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string target, int flags);

    [LibraryImport("libc")]
    private static partial nint read(int fd, byte* buffer, nuint count);
}
