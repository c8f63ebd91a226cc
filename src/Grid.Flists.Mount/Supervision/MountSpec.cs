using System.Collections.Immutable;
using Grid.Units;

namespace Grid.Flists.Mount;

/// <summary>What to mount where. The same text form goes to the supervisor and from it to every daemon.</summary>
/// <param name="Flist">the flist; with the root hash it becomes the mount's source, by which <see cref="FlistMount.Find"/> knows it</param>
/// <param name="Mountpoint">an existing directory, absolute</param>
/// <param name="CacheDirectory">the flist cache, absolute</param>
/// <param name="Hubs">where to fetch from, in order, at least one; none of them is asked for what the cache holds</param>
/// <param name="LogPath">appended to by the daemon, absolute</param>
/// <param name="Owners">whose files they are on this machine; as the flist says when it is null</param>
public sealed record MountSpec(FlistId Flist, string Mountpoint, string CacheDirectory, ImmutableArray<Uri> Hubs, string LogPath, IdRange? Owners = null)
{
    // Without owners as it always was: a supervisor that runs starts the daemons of the program that lies there now.
    internal ImmutableArray<string> ToArguments() =>
        [Flist.ToString(), Mountpoint, CacheDirectory, LogPath, .. Owners is { } owners ? [owners.ToString()] : (string[])[], .. Hubs.Select(h => h.AbsoluteUri)];

    /// <exception cref="FormatException"/>
    internal static MountSpec FromArguments(ReadOnlySpan<string> arguments)
    {
        if (arguments is not [var flist, var mountpoint, var cache, var log, .. var hubs])
            throw new FormatException("A mount needs an flist id, a mount point, a cache directory and a log path.");
        var owners = hubs is [var first, ..] ? IdRange.TryParse(first) : null;
        return new MountSpec(Id.Parse<FlistId>(flist), mountpoint, cache, [.. hubs[(owners is null ? 0 : 1)..].ToArray().Select(h => new Uri(h))], log, owners);
    }
}

/// <summary>An flist that a daemon has opened and will serve.</summary>
/// <param name="Content">disposed at the unmount, when it is IAsyncDisposable</param>
public sealed record OpenedFlist(MetaFile Meta, Content.IFlistContent Content);

/// <summary>A program that is started as supervisor and daemon, and what comes before their arguments.</summary>
public sealed record MountHost(string Path, ImmutableArray<string> Arguments)
{
    private static readonly string _beside = System.IO.Path.Combine(AppContext.BaseDirectory, "grid-mount");

    /// <summary>The one that runs now, which must hand its arguments to <see cref="MountVerbs.TryRun(string[])"/> before it looks at them itself.</summary>
    public static MountHost ThisProgram { get; } = Environment.ProcessPath is { } path && System.IO.Path.GetFileNameWithoutExtension(path) == "dotnet"
        ? new MountHost(path, [Environment.GetCommandLineArgs()[0]])
        : new MountHost(Environment.ProcessPath!, []);

    /// <summary><c>grid-mount</c>, small and native, where it lies beside this program, as it is published; where it does not, as in a test, this program.</summary>
    internal static MountHost OfMounts { get; } = File.Exists(_beside) ? new MountHost(_beside, []) : ThisProgram;
}
