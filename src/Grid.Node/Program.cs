using Grid.Flists.Mount;
using Grid.Node;
using Grid.Node.Agent;
using Grid.Node.Gateways;
using Grid.Node.Gateways.Front;

// The agent starts itself again as the supervisor and the daemon of each mount.
if (MountVerbs.TryRun(args) is { } code)
    return code;

if (args is [.. var verb, "--help"] && Usage(verb) is { } usage)
{
    Console.WriteLine(usage);
    return 0;
}

if (args is [FrontProcess.Verb, .. var told])
    return await FrontProgram.RunAsync(told, TimeProvider.System);

if (args is [ClearProgram.Verb, .. var rest])
    return await Reported(() => ClearProgram.RunAsync(rest, TimeProvider.System));

if (args is [MendedProgram.Verb, .. var disk])
    return await Reported(() => Task.FromResult(MendedProgram.Run(disk)));

if (args is ["--version"])
{
    Console.WriteLine($"grid-node {typeof(NodeOptions).Assembly.GetName().Version?.ToString(3)}");
    return 0;
}

if (NodeOptions.Parse(args, out var wrong) is not { } options)
{
    foreach (var refusal in wrong)
        Say(refusal);
    return 2;
}
return await Reported(() => NodeProgram.RunAsync(options));

static string? Usage(string[] verb) => verb switch
{
    [] => $"{NodeOptions.Usage}\n\ngrid-node --version\ngrid-node {ClearProgram.Verb} --help\ngrid-node {MendedProgram.Verb} --help\ngrid-node {FrontProcess.Verb} --help",
    [ClearProgram.Verb] => ClearProgram.Usage,
    [MendedProgram.Verb] => MendedProgram.Usage,
    [FrontProcess.Verb] => FrontProgram.Usage,
    _ => null,
};

static async Task<int> Reported(Func<Task<int>> run)
{
    try
    {
        return await run();
    }
    catch (NodeException e)
    {
        Say(e.Refusal);
        return 1;
    }
    catch (Exception e) when (e is IOException or UnauthorizedAccessException)
    {
        // A file that cannot be read, a disk that is full: for whoever started this to put right.
        Say(new Grid.Refusal(NodeCode.FileUnreadable, e.Message, "Look whether the disk is full or read-only and who owns what is named; the node needs root, and a directory of its own for --data and --run."));
        return 1;
    }
}

static void Say(Grid.Refusal refusal) => Console.Error.WriteLine(refusal.From("grid-node"));
