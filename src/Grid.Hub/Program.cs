using Grid.Api;
using Grid.Hub;

if (args is ["--help"])
{
    Console.WriteLine(HubOptions.Usage);
    return 0;
}
if (args is ["--version"])
{
    Console.WriteLine($"grid-hub {typeof(HubOptions).Assembly.GetName().Version?.ToString(3)}");
    return 0;
}
var options = HubOptions.Parse(args, out var mistakes);
if (options is null)
{
    foreach (var mistake in mistakes)
        Say(mistake);
    return 2;
}
try
{
    await using var hub = await HubServer.StartAsync(options);
    Console.WriteLine($"grid-hub ready {hub.Address}");
    await hub.WaitForShutdownAsync();
    return 0;
}
catch (StartException e)
{
    Say(e.Refusal);
    return 1;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    // A store that cannot be made, a disk that is full: for whoever started this to put right.
    Say(StartException.Unreadable(e, "--store"));
    return 1;
}

static void Say(Grid.Refusal refusal) => Console.Error.WriteLine(refusal.From("grid-hub"));
