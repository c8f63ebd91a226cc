using System.Diagnostics.CodeAnalysis;
using Grid.Flists.Cache;
using Grid.Units;

namespace Grid.Flists.Mount;

/// <summary>
/// An flist that is mounted, as the kernel's own mount table says: source <c>grid:fl1…@root</c>, type <c>fuse.flist</c> where a daemon serves it, <c>erofs</c>
/// where the kernel does, and the source is the file with that name.
/// </summary>
public sealed record MountedFlist(string Mountpoint, FlistId Flist, Digest Root)
{
    internal const string Served = "fuse.flist", Composed = "erofs";

    /// <summary>The kernel's number of the mount, which all views of it share: major:minor.</summary>
    public string Device { get; private init; } = "";

    /// <summary>The kernel shows it by itself, of what is all here.</summary>
    public bool IsComposed { get; private init; }

    internal string Source => $"{WholeFlist.Scheme}{Flist}@{Root}";

    internal static bool TryRead(MountLine line, [NotNullWhen(true)] out MountedFlist? mounted)
    {
        mounted = null;
        var source = System.IO.Path.GetFileName(line.Source);
        if (line.Type is not (Served or Composed) || WholeFlist.RootOf(source) is not { } root
            || !Id.TryParse<FlistId>(source[WholeFlist.Scheme.Length..source.IndexOf('@')], out var id))
            return false;
        mounted = new MountedFlist(line.Mountpoint, id, root) { Device = line.Device, IsComposed = line.Type == Composed };
        return true;
    }
}

/// <summary>Why a mount did not come to be.</summary>
public enum MountFailure
{
    /// <summary>No hub and no cache gave what is needed; it may be there later.</summary>
    FlistUnavailable,

    /// <summary>What was given is not that flist: wrong bytes.</summary>
    FlistInvalid,

    /// <summary>This machine does not mount: no /dev/fuse, no right to mount, no such directory.</summary>
    MachineCannot,

    /// <summary>It took longer than allowed; everything started for it is ended.</summary>
    TimedOut,

    /// <summary>The supervisor or the daemon ended without a word; the log may say more.</summary>
    HostFailed,
}

/// <summary>How <see cref="FlistMount.StartAsync"/> ended.</summary>
public abstract record MountOutcome
{
    private MountOutcome()
    {
    }

    public sealed record Mounted(MountedFlist Mount) : MountOutcome;

    public sealed record Failed(MountFailure Failure, string Reason) : MountOutcome;
}
