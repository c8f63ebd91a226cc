using Grid.Flists.Mount;
using Grid.Node;
using Grid.Node.Agent;

// The agent starts itself again as the supervisor and the daemon of each mount.
if (MountVerbs.TryRun(args) is { } code)
    return code;

if (NodeOptions.Parse(args, out var wrong) is not { } options)
{
    foreach (var line in wrong)
        Console.Error.WriteLine($"grid-node: {line}");
    Console.Error.WriteLine(NodeOptions.Usage);
    return 2;
}
try
{
    return await NodeProgram.RunAsync(options);
}
catch (NodeException e)
{
    Console.Error.WriteLine($"grid-node: {e.Message}");
    return 1;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    // A directory that cannot be made, a disk that is full: for whoever started this to put right.
    Console.Error.WriteLine($"grid-node: {e.Message}");
    return 1;
}
