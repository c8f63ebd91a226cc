using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grid.Flists.Mount.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount;

/// <summary>
/// A second view of a mount in which owners are shifted: what belongs to uid 0 of the flist belongs, through this view, to the first uid of a container's
/// private range, and is root's inside the container's user namespace. The mount itself, its data and its cache stay shared.
/// </summary>
public static class IdmappedBind
{
    /// <param name="source">a mounted flist, or what else is to be shown</param>
    /// <param name="target">an existing directory; the view appears there, nosuid, nodev and either read-only or noexec</param>
    /// <param name="owners">what is the tree's beyond it belongs to nobody (65534)</param>
    /// <param name="writable">noexec instead of read-only; <paramref name="source"/> is then a volume</param>
    /// <exception cref="IOException">the kernel does not do it with this file system: see mount_setattr(2)</exception>
    public static void Create(string source, string target, IdRange owners, bool writable = false)
    {
        if (!TryCreate(source, target, owners, writable))
            throw new PosixException($"mount_setattr {source} idmap", Errno.EINVAL);
    }

    /// <summary>The same, and false when the kernel does not do it with this file system; FUSE has it since Linux 6.12, tmpfs since 6.3.</summary>
    /// <exception cref="IOException">it failed for another reason</exception>
    public static bool TryCreate(string source, string target, IdRange owners, bool writable = false)
    {
        using var tree = SysMount.OpenTree(Fcntl.AT_FDCWD, source, SysMount.OPEN_TREE_CLONE | SysMount.OPEN_TREE_CLOEXEC);
        if (tree.IsInvalid)
            throw new PosixException($"open_tree {source}");
        var attributes = SysMount.MOUNT_ATTR_NOSUID | SysMount.MOUNT_ATTR_NODEV | (writable ? SysMount.MOUNT_ATTR_NOEXEC : SysMount.MOUNT_ATTR_RDONLY);
        if (!TryMap(tree, owners, attributes))
            return (Errno)Marshal.GetLastPInvokeError() is Errno.EINVAL ? false : throw new PosixException($"mount_setattr {source} idmap");
        if (SysMount.MoveMount(tree, "", Fcntl.AT_FDCWD, target, SysMount.MOVE_MOUNT_F_EMPTY_PATH) < 0)
            throw new PosixException($"move_mount {target}");
        return true;
    }

    /// <summary>Shifts the owners in a mount that nobody sees yet; false, with the errno, when the kernel did not.</summary>
    /// <param name="attributes">what else it is from now on: MOUNT_ATTR_…</param>
    internal static bool TryMap(SafeFileHandle mount, IdRange owners, ulong attributes)
    {
        using var namespaceFile = UserNamespace.Create(owners.First, owners.Count);
        var change = new SysMount.MountAttributes
        {
            Set = SysMount.MOUNT_ATTR_IDMAP | attributes,
            UserNamespace = (ulong)namespaceFile.DangerousGetHandle(),
        };
        return SysMount.SetAttributes(mount, "", Fcntl.AT_EMPTY_PATH, change, (nuint)Unsafe.SizeOf<SysMount.MountAttributes>()) == 0;
    }
}
