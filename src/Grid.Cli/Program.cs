using System.Runtime.Versioning;
using Grid.Cli;
using Grid.Client;
using Grid.Flists.Mount;
using Grid.Telemetry;

[assembly: SupportedOSPlatform("linux")]

// The program starts itself again as the supervisor and the daemon of each mount.
if (MountVerbs.TryRun(args) is { } code)
    return code;
using var collector = Collector.Connect("grid-cli", null, CommandLine.TraceName, ClientTrace.Name, "System.Net.Http");
return await CommandLine.RunAsync(args, Shell.OfProcess(), CancellationToken.None).ConfigureAwait(false);
