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
        Console.Error.WriteLine(mistake.From("grid-hub"));
    Console.Error.WriteLine(HubOptions.Usage);
    return 2;
}
try
{
    await using var hub = await HubServer.StartAsync(options);
    Console.WriteLine($"grid-hub ready {hub.Address}");
    await hub.WaitForShutdownAsync();
    return 0;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    // An address in use, a store that cannot be made: for whoever started this to put right.
    Console.Error.WriteLine($"grid-hub: {e.Message}");
    return 1;
}
