using System.Runtime.Versioning;
using Grid.Cli;

[assembly: SupportedOSPlatform("linux")]

return await CommandLine.RunAsync(args, Shell.OfProcess(), CancellationToken.None).ConfigureAwait(false);
