using System.Collections.Immutable;
using System.Globalization;
using Grid.Flists.Mount;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Volumes.Interop;
using Grid.Secrets;
using Grid.Workloads;

namespace Grid.Node.Secrets;

/// <summary>
/// Opened secrets that are files: a tmpfs for each directory of a container, read-only, never swapped, its files readable by the container's user alone.
/// <code>RUN/secrets/agr1….web/0    the first of the directories in which "web" finds secrets</code>
/// </summary>
internal sealed class SecretPlaces(string directory)
{
    /// <summary>The containers of which there is anything here.</summary>
    public IEnumerable<ContainerId> Known() => ContainerId.NamedIn(directory);

    /// <param name="opened">those that are files, with their values</param>
    /// <param name="anew">false: what is there is its own, and perhaps in use</param>
    /// <returns>what the container mounts where</returns>
    public ImmutableArray<VolumeBind> Show(ContainerId id, IReadOnlyCollection<(Secret Secret, byte[] Value)> opened, ContainerUser user, UidRange uids, bool anew)
    {
        var binds = ImmutableArray.CreateBuilder<VolumeBind>();
        if (anew)
            Hide(id);
        foreach (var path in Secret.Directories(opened.Select(o => o.Secret)))
        {
            var at = Path.Combine(Of(id), binds.Count.ToString(CultureInfo.InvariantCulture));
            if (!MountLine.Read("self").Any(m => m.Point == at))
                Make(at, opened.Where(o => o.Secret.IsFile && o.Secret.Directory == path), uids.First + (uint)user.Uid, uids.First + (uint)user.Gid);
            binds.Add(new VolumeBind(at, path, ReadOnly: true));
        }
        return binds.ToImmutable();
    }

    /// <summary>Takes away what a container had. With the last mount of a tmpfs its memory is gone.</summary>
    public void Hide(ContainerId id)
    {
        if (!Directory.Exists(Of(id)))
            return;
        MountLine.DetachBelow(Of(id));
        Directory.Delete(Of(id), recursive: true);
    }

    /// <summary>A new file of an opened secret, which its owner can read and nobody change. No buffer holds the value besides.</summary>
    public static void Write(string path, ReadOnlySpan<byte> value)
    {
        using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead, BufferSize = 0 });
        file.Write(value);
    }

    private string Of(ContainerId id) => Path.Combine(directory, id.ToString());

    private static void Make(string at, IEnumerable<(Secret Secret, byte[] Value)> files, uint owner, uint group)
    {
        using var mount = MemoryMount.Make("secrets", "4m", "0500", owner, group);
        foreach (var (secret, value) in files)
        {
            var path = $"/proc/self/fd/{Posix.Number(mount)}/{secret.FileName}";
            Write(path, value);
            SysStat.SetOwner(path, owner, group);
        }
        MountApi.MakeReadOnly(mount);
        // Whole before it can be seen: one that is mounted holds all of its files.
        Directory.CreateDirectory(at, DirectoryModes.Passed);
        MountApi.Place(mount, at);
    }
}
