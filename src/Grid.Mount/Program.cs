using Grid.Flists.Mount;

if (MountVerbs.TryRun(args) is { } code)
    return code;
Console.Error.WriteLine("grid-mount is the supervisor and the daemon of a mount; the programs that mount start it.");
return 2;
