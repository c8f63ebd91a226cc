using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount;

/// <summary>
/// A second view of a mount in which owners are shifted: what belongs to uid 0 of the flist belongs, through this view, to the first uid of a container's
/// private range, and is root's inside the container's user namespace. The mount itself, its data and its cache stay shared.
/// </summary>
public static class IdmappedBind
{
    /// <summary>The first Linux whose FUSE does it.</summary>
    public static readonly Version Since = new(6, 12);

    /// <param name="source">a mounted flist, or a directory in one</param>
    /// <param name="target">an existing directory; the view appears there, nosuid, nodev and either read-only or noexec</param>
    /// <param name="uidBase">the uid and gid on the host that uid and gid 0 of the tree become</param>
    /// <param name="count">how many ids are shifted; those of the tree beyond it belong to nobody (65534)</param>
    /// <param name="writable">noexec instead of read-only; <paramref name="source"/> is then a volume</param>
    /// <exception cref="IOException">the kernel does not do it; <see cref="IsSupported"/> tells beforehand</exception>
    public static void Create(string source, string target, uint uidBase, uint count, bool writable = false)
    {
        using var tree = SysMount.OpenTree(Fcntl.AT_FDCWD, source, SysMount.OPEN_TREE_CLONE | SysMount.OPEN_TREE_CLOEXEC);
        if (tree.IsInvalid)
            throw new PosixException($"open_tree {source}");
        using var namespaceFile = UserNamespace.Create(uidBase, count);
        var attributes = new SysMount.MountAttributes
        {
            Set = SysMount.MOUNT_ATTR_IDMAP | SysMount.MOUNT_ATTR_NOSUID | SysMount.MOUNT_ATTR_NODEV
                | (writable ? SysMount.MOUNT_ATTR_NOEXEC : SysMount.MOUNT_ATTR_RDONLY),
            UserNamespace = (ulong)namespaceFile.DangerousGetHandle(),
        };
        if (SysMount.SetAttributes(tree, "", Fcntl.AT_EMPTY_PATH, attributes, (nuint)Unsafe.SizeOf<SysMount.MountAttributes>()) < 0)
            throw new PosixException($"mount_setattr {source} idmap (FUSE has it since Linux {Since})");
        if (SysMount.MoveMount(tree, "", Fcntl.AT_FDCWD, target, SysMount.MOVE_MOUNT_F_EMPTY_PATH) < 0)
            throw new PosixException($"move_mount {target}");
    }

    /// <summary>Tries it on a mounted flist without attaching anything: FUSE has it since Linux 6.12, and only with default_permissions.</summary>
    public static bool IsSupported(string source)
    {
        using var tree = SysMount.OpenTree(Fcntl.AT_FDCWD, source, SysMount.OPEN_TREE_CLONE | SysMount.OPEN_TREE_CLOEXEC);
        if (tree.IsInvalid)
            return false;
        using var namespaceFile = UserNamespace.Create(100_000, 65_536);
        var attributes = new SysMount.MountAttributes { Set = SysMount.MOUNT_ATTR_IDMAP, UserNamespace = (ulong)namespaceFile.DangerousGetHandle() };
        return SysMount.SetAttributes(tree, "", Fcntl.AT_EMPTY_PATH, attributes, (nuint)Unsafe.SizeOf<SysMount.MountAttributes>()) == 0;
    }

    /// <summary>Takes the view away; the mount it shows stays.</summary>
    /// <exception cref="IOException"/>
    public static void Remove(string target)
    {
        if (SysMount.Unmount(target, SysMount.UMOUNT_NOFOLLOW) < 0 && (Errno)Marshal.GetLastPInvokeError() != Errno.EINVAL)
            throw new PosixException($"umount {target}");
    }
}
