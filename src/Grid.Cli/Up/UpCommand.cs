using System.CommandLine;
using Grid.Cli.Output;

namespace Grid.Cli.Up;

/// <summary>A private grid on this machine, and the whole of its purpose played once on it.</summary>
internal static class UpCommand
{
    public const string Name = "up";

    public static Command Build(Frame frame)
    {
        var once = new Option<bool>("--once") { Description = "Play it once, prove it, cancel, and leave nothing behind" };
        var directory = new Option<string?>("--directory") { Description = "Where it lives; removed at the end. Without it, one of its own", HelpName = "DIR" };
        return frame.Verb(Name, "Start a private grid on this machine: ledger, hub, a farm, a node, and a real container on it", [once, directory], async (session, cancellation) =>
        {
            if (!Environment.IsPrivilegedProcess)
                return new Refusal(CliCode.Usage, "A private grid makes mounts, namespaces and cgroups, and so needs root.", "Run it as root.");
            void Say(string text)
            {
                foreach (var line in text.Split('\n'))
                    session.Say(line);
            }
            try
            {
                await using var grid = await PrivateGrid.StartAsync(session.Value(directory), Say, cancellation);
                var play = new Play(grid, frame.Shell, session.Format, Say);
                return await play.RunAsync(session.Value(once), cancellation);
            }
            catch (UpFault e)
            {
                return new Refusal("up-failed", e.Message);
            }
        });
    }
}
