namespace Grid.Node.Tests;

internal static class Program
{
    public static async Task<int> Main(string[] args) => args switch
    {
        [Containers.Victim.Verb, .. var rest] => await Containers.Victim.RunAsync(rest),
        [Volumes.VolumeVictim.Verb, .. var rest] => await Volumes.VolumeVictim.RunAsync(rest),
        [Grid.Node.Gateways.FrontProcess.Verb, .. var rest] => await Grid.Node.Gateways.Front.FrontProgram.RunAsync(rest, TimeProvider.System),
        _ => await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args),
    };
}
