using Grid.Flists.Mount;
using Grid.Node;
using Grid.Node.Agent;
using Grid.Node.Gateways;
using Grid.Node.Gateways.Front;

// The agent starts itself again as the supervisor and the daemon of each mount.
if (MountVerbs.TryRun(args) is { } code)
    return code;

if (args is [FrontProcess.Verb, .. var told])
    return await FrontProgram.RunAsync(told, TimeProvider.System);

if (args is ["clear", .. var rest])
    return await Reported(() => ClearProgram.RunAsync(rest, TimeProvider.System));

if (args is ["--help"])
{
    Console.WriteLine(Usage());
    return 0;
}

if (args is ["--version"])
{
    Console.WriteLine($"grid-node {typeof(NodeOptions).Assembly.GetName().Version?.ToString(3)}");
    return 0;
}

if (NodeOptions.Parse(args, out var wrong) is not { } options)
{
    foreach (var line in wrong)
        Console.Error.WriteLine($"grid-node: {line}");
    Console.Error.WriteLine(Usage());
    return 2;
}
return await Reported(() => NodeProgram.RunAsync(options));

static string Usage() => $"{NodeOptions.Usage}\n\n{ClearProgram.Usage}";

static async Task<int> Reported(Func<Task<int>> run)
{
    try
    {
        return await run();
    }
    catch (Exception e) when (e is NodeException or IOException or UnauthorizedAccessException)
    {
        // A directory that cannot be made, a disk that is full: for whoever started this to put right.
        Console.Error.WriteLine($"grid-node: {e.Message}");
        return 1;
    }
}
