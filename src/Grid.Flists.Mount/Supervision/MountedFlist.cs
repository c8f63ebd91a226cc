using System.Diagnostics.CodeAnalysis;
using Grid.Units;

namespace Grid.Flists.Mount;

/// <summary>An flist that is mounted, as the kernel's own mount table says: source <c>grid:fl1…@root</c>, type <c>fuse.flist</c>.</summary>
public sealed record MountedFlist(string Mountpoint, FlistId Flist, Digest Root)
{
    internal const string Type = "fuse.flist";

    private const string Scheme = "grid:";

    /// <summary>The kernel's number of the mount, which all views of it share: major:minor.</summary>
    public string Device { get; private init; } = "";

    internal string Source => $"{Scheme}{Flist}@{Root}";

    internal static bool TryRead(MountLine line, [NotNullWhen(true)] out MountedFlist? mounted)
    {
        mounted = null;
        if (line.Type != Type || !line.Source.StartsWith(Scheme, StringComparison.Ordinal)
            || line.Source[Scheme.Length..].Split('@') is not [var flist, var root]
            || !Id.TryParse<FlistId>(flist, out var id) || root.Length != 2 * Digest.Size)
            return false;
        try
        {
            mounted = new MountedFlist(line.Mountpoint, id, Digest.ParseHex(root)) { Device = line.Device };
            return true;
        }
        catch (FormatException)
        {
            // Somebody else's mount that looks like ours: not ours.
            return false;
        }
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
