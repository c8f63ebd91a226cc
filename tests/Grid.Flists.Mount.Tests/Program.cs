using Grid.Flists.Mount;
using Grid.Flists.Mount.Tests;
using Xunit.Runner.InProc.SystemConsole;

if (MountVerbs.TryRun(args, StoredFlist.OpenAsync) is { } exit)
    return exit;
return args.Any(a => a is "--server" or "--internal-msbuild-node")
    ? await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
    : await ConsoleRunner.Run(args);
