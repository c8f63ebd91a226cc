using System.ComponentModel;
using System.Globalization;
using Grid.Flists.Mount;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Secrets;

/// <summary>A file system whose files are in memory and are never swapped out, as secrets must not be.</summary>
internal static class MemoryMount
{
    public const string Tmpfs = "tmpfs", Ramfs = "ramfs";

    /// <summary>Mounts it where nobody sees it yet.</summary>
    /// <param name="size">at most, as mount(8) writes it; only the agent writes, and no more than it must</param>
    /// <param name="mode">of its root, octal</param>
    /// <exception cref="Win32Exception"/>
    public static SafeFileHandle Make(string source, string size, string mode, uint owner = 0, uint group = 0)
    {
        try
        {
            return MountApi.Mount(Tmpfs, source, [("size", size), ("mode", mode), ("uid", Text(owner)), ("gid", Text(group)), ("noswap", null)]);
        }
        catch (Win32Exception e) when (e.NativeErrorCode == Posix.EINVAL)
        {
            return OfEveryKernel(source, mode, owner, group);
        }
    }

    /// <summary>A tmpfs can be kept from the swap since Linux 6.4. A ramfs never goes there, but has neither a size nor an owner of its own.</summary>
    internal static SafeFileHandle OfEveryKernel(string source, string mode, uint owner, uint group)
    {
        var mount = MountApi.Mount(Ramfs, source, [("mode", mode)]);
        // The directory behind the link, not the link.
        SysStat.SetOwner($"/proc/self/fd/{Posix.Number(mount)}/.", owner, group);
        return mount;
    }

    private static string Text(uint id) => id.ToString(CultureInfo.InvariantCulture);
}
