using System.CommandLine;
using Grid.Cli.Output;
using Grid.Cli.Up.Examples;

namespace Grid.Cli.Up;

/// <summary>A private grid on this machine, and the whole of its purpose played once on it.</summary>
internal static class UpCommand
{
    public const string Name = "up";

    public static Command Build(Frame frame)
    {
        var once = new Option<bool>("--once") { Description = "Play it once, prove it, cancel, and leave nothing behind" };
        var example = new Option<string>("--example") { Description = "What is played on it: hello, one web server; three-tier, a database, an application and a gateway on three nodes of two farms", DefaultValueFactory = _ => "hello" };
        example.AcceptOnlyFromAmong("hello", "three-tier");
        var directory = new Option<string?>("--directory") { Description = "Where it lives; removed at the end. Without it, one of its own", HelpName = "DIR" };
        return frame.Verb(Name, "Start a private grid on this machine: ledger, hub, farms, nodes, and real containers on them", [once, example, directory], async (session, cancellation) =>
        {
            if (!Environment.IsPrivilegedProcess)
                return new Refusal("up-failed", "A private grid makes mounts, namespaces and cgroups, and so needs root.", "Run it as root.");
            void Say(string text)
            {
                foreach (var line in text.Split('\n'))
                    session.Say(line);
            }
            try
            {
                await using var grid = await PrivateGrid.StartAsync(session.Value(directory), Say, cancellation);
                var prompt = new Prompt(grid, frame.Shell, session.Format, Say);
                Play play = session.Value(example) == "hello" ? new HelloPlay(grid, prompt) : new ThreeTierPlay(grid, prompt);
                return await play.RunAsync(session.Value(once), cancellation);
            }
            catch (UpFault e)
            {
                return new Refusal("up-failed", e.Message, e.Next);
            }
        });
    }
}
