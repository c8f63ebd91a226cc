namespace Grid.Flists.Mount;

/// <summary>The two hidden verbs of a host program. They are not for people: both expect descriptors from who starts them.</summary>
public static class MountVerbs
{
    public const string Supervisor = "flist-mount-supervisor";
    public const string Daemon = "flist-mount-daemon";

    /// <summary>
    /// Runs the verb, when the arguments begin with one, until the unmount. The flist comes from the cache and the hubs of its <see cref="MountSpec"/>.
    /// </summary>
    /// <returns>the exit code, or null when the arguments are for the host itself</returns>
    public static int? TryRun(string[] arguments) => TryRun(arguments, CachedMount.OpenAsync);

    /// <summary>The same with a content of the host's own.</summary>
    /// <param name="open">opens the flist of a mount: its meta file and its content, verified</param>
    /// <returns>the exit code, or null when the arguments are for the host itself</returns>
    public static int? TryRun(string[] arguments, Func<MountSpec, CancellationToken, Task<OpenedFlist>> open) => arguments switch
    {
        [Supervisor, .. var rest] => MountSupervisor.Run(rest),
        [Daemon, .. var rest] => MountDaemon.Run(rest, open),
        _ => null,
    };
}
