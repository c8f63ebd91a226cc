using Grid.Flists.Mount;
using Grid.Flists.Mount.Tests;
using Xunit.Runner.InProc.SystemConsole;

// A mount of a cache with hubs is the real thing; without, its content is that of the test.
if (MountVerbs.TryRun(args, (spec, cancel) => spec.Hubs.IsEmpty ? StoredFlist.OpenAsync(spec, cancel) : CachedMount.OpenAsync(spec, cancel)) is { } exit)
    return exit;
return args.Any(a => a is "--server" or "--internal-msbuild-node")
    ? await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
    : await ConsoleRunner.Run(args);
