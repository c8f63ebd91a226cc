using System.ComponentModel;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Grid.Flists.Mount.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount;

/// <summary>File systems mounted step by step (fsopen(2), fsconfig(2), fsmount(2), move_mount(2)): where nobody sees them, until they are placed.</summary>
public static class MountApi
{
    private const int MessageSize = 512;

    /// <summary>Mounts it where nobody sees it: nosuid, and as said. It goes with the descriptor, unless it is placed before.</summary>
    /// <exception cref="Win32Exception">with what the file system said of it</exception>
    /// <param name="options">one without a value is a flag</param>
    /// <param name="devices">device nodes in it can be opened</param>
    /// <param name="programs">what is in it can be executed</param>
    public static SafeFileHandle Mount(string type, string source, IEnumerable<(string Key, string? Value)> options, bool devices = false, bool programs = false)
    {
        using var context = SysMount.OpenFileSystem(type, SysMount.FSOPEN_CLOEXEC);
        if (context.IsInvalid)
            throw Failed($"fsopen {type}");
        foreach (var (key, value) in options.Prepend(("source", source)))
        {
            if (SysMount.Configure(context, value is null ? SysMount.FSCONFIG_SET_FLAG : SysMount.FSCONFIG_SET_STRING, key, value, 0) != 0)
                throw Failed($"{key}={value}", context);
        }
        if (SysMount.Configure(context, SysMount.FSCONFIG_CMD_CREATE, null, null, 0) != 0)
            throw Failed($"mount {source}", context);
        var attributes = SysMount.MOUNT_ATTR_NOSUID | (devices ? 0 : SysMount.MOUNT_ATTR_NODEV) | (programs ? 0 : SysMount.MOUNT_ATTR_NOEXEC);
        var mount = SysMount.MakeMount(context, SysMount.FSMOUNT_CLOEXEC, (uint)attributes);
        return mount.IsInvalid ? throw Failed("fsmount", context) : mount;
    }

    public static void MakeReadOnly(SafeFileHandle mount) => Set(mount, SysMount.MOUNT_ATTR_RDONLY);

    /// <summary>Shows a directory in a second place: read-only, nosuid, nodev.</summary>
    public static void Show(string source, string target)
    {
        using var tree = SysMount.OpenTree(Fcntl.AT_FDCWD, source, SysMount.OPEN_TREE_CLONE | SysMount.OPEN_TREE_CLOEXEC);
        if (tree.IsInvalid)
            throw Failed($"open_tree {source}");
        Set(tree, SysMount.MOUNT_ATTR_RDONLY | SysMount.MOUNT_ATTR_NOSUID | SysMount.MOUNT_ATTR_NODEV);
        Place(tree, target);
    }

    public static void Place(SafeFileHandle mount, string target)
    {
        if (SysMount.MoveMount(mount, "", Fcntl.AT_FDCWD, target, SysMount.MOVE_MOUNT_F_EMPTY_PATH) != 0)
            throw Failed($"move_mount {target}");
    }

    /// <returns>false when files in it are open</returns>
    public static bool Unmount(string target)
    {
        if (SysMount.Unmount(target, SysMount.UMOUNT_NOFOLLOW) == 0)
            return true;
        return (Errno)Marshal.GetLastPInvokeError() is Errno.EBUSY ? false : throw Failed($"umount {target}");
    }

    private static void Set(SafeFileHandle mount, ulong what)
    {
        var attributes = new SysMount.MountAttributes { Set = what };
        if (SysMount.SetAttributes(mount, "", Fcntl.AT_EMPTY_PATH, attributes, (nuint)Unsafe.SizeOf<SysMount.MountAttributes>()) != 0)
            throw Failed("mount_setattr");
    }

    // What went wrong stands in the context, one message per read: "e ext4: …".
    private static Win32Exception Failed(string what, SafeFileHandle? context = null)
    {
        var errno = Marshal.GetLastPInvokeError();
        var said = new StringBuilder();
        Span<byte> message = stackalloc byte[MessageSize];
        for (nint count; context is not null && (count = UniStd.Read(context, message, MessageSize)) > 0;)
            said.Append("; ").Append(Encoding.UTF8.GetString(message[..(int)count]).Trim());
        return new Win32Exception(errno, $"{what}: {Marshal.GetPInvokeErrorMessage(errno)}{said}");
    }
}
