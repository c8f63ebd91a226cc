using System.Runtime.Versioning;
using Grid.Cli;
using Grid.Flists.Mount;

[assembly: SupportedOSPlatform("linux")]

// The program starts itself again as the supervisor and the daemon of each mount.
if (MountVerbs.TryRun(args) is { } code)
    return code;
return await CommandLine.RunAsync(args, Shell.OfProcess(), CancellationToken.None).ConfigureAwait(false);
