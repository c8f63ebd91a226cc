using System.Collections.Immutable;
using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Grid.Cli.Commands;
using Grid.Cli.Output;

namespace Grid.Cli;

/// <summary>The program <c>grid</c>: every noun in one line, and the one way in.</summary>
public static partial class CommandLine
{
    /// <summary>Of the source whose spans are commands: what a person did, with all that came of it at the ledger below.</summary>
    public const string TraceName = "grid.cli";

    private static readonly ActivitySource Source = new(TraceName);

    /// <returns>one of <see cref="Exit"/></returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, Shell shell, CancellationToken cancellation)
    {
        var frame = new Frame(shell, new Options());
        var parsed = Root(frame).Parse(args);
        var next = $"See '{Name(parsed.CommandResult)} --help'.";
        // The parser takes a mistyped option for an argument; it would become a file's name.
        if (parsed.Tokens.TakeWhile(t => t.Type != TokenType.DoubleDash).FirstOrDefault(t => t.Type == TokenType.Argument && t.Value.StartsWith("--", StringComparison.Ordinal)) is { } stray)
            return frame.Write(parsed, new Outcome.Failed([new Problem(new Refusal(CliCode.Usage, $"'{stray.Value}' is not an option here.", next))], Exit.Usage));
        if (parsed.Errors.Count > 0 && parsed.Action is not HelpAction)
        {
            // What is not a command is the fault; that a command is missing follows from it.
            var faults = parsed.UnmatchedTokens.Count > 0 ? parsed.UnmatchedTokens.Take(1).Select(t => $"'{t}' is not known here.") : parsed.Errors.Select(e => Said(e.Message));
            return frame.Write(parsed, new Outcome.Failed([.. faults.Select(f => new Problem(new Refusal(CliCode.Usage, f, next)))], Exit.Usage));
        }
        if (parsed.Action is HelpAction)
            return Help(parsed, shell);
        var configuration = new InvocationConfiguration
        {
            Output = shell.Out,
            Error = shell.Error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
        };
        using var span = Source.StartActivity(Name(parsed.CommandResult));
        try
        {
            using var interruption = shell.Signals ? new Interruption(cancellation) : null;
            var run = parsed.InvokeAsync(configuration, interruption?.Token ?? cancellation);
            // A private grid is ended in order, which takes longer than anything else here.
            var patience = parsed.CommandResult.Command.Name == Up.UpCommand.Name ? TimeSpan.FromMinutes(3) : TimeSpan.FromSeconds(5);
            var code = await (interruption?.EndAsync(run, patience) ?? run).ConfigureAwait(false);
            span?.SetTag("process.exit.code", code);
            return code;
        }
        catch (Exception e) when (shell.Environment("GRID_TRACE") is null)
        {
            // Our own fault. Who runs the program can do nothing with a trace; who mends it sets the variable.
            return frame.Write(parsed, new Refusal(CliCode.Defect, $"This is a fault of grid itself: {e.GetType().Name}: {e.Message}", "Please report it, with what GRID_TRACE=1 prints."));
        }
    }

    internal static RootCommand Root(Frame frame)
    {
        var root = new RootCommand("grid: agreements between users and farmers about IT workloads, signed by both, proven by a ledger, made true by nodes.\n\n"
            + "Exit codes: 0 done or no changes, 1 changes or a negative verdict, 2 wrong command line, 130 interrupted, 255 any other error; of plan 255 for a wrong command line too.");
        foreach (var option in frame.Options.All)
            root.Add(option);
        foreach (var command in Nouns(frame))
            root.Add(command);
        return root;
    }

    private static IEnumerable<Command> Nouns(Frame frame) =>
    [
        Up.UpCommand.Build(frame),
        KeyCommands.Build(frame),
        AccountCommands.Build(frame),
        FarmCommands.Build(frame),
        NodeCommands.Build(frame),
        OfferCommands.Build(frame),
        AgreementCommands.Build(frame),
        FlistCommands.Build(frame),
        SecretCommands.Build(frame),
        LedgerCommands.Build(frame),
        .. PlanCommands.Build(frame),
        .. AgreementCommands.Short(frame),
        CompletionCommand.Build(frame),
    ];

    // The library names the program after its file, which cannot be called grid (see the project file).
    private static int Help(ParseResult parsed, Shell shell)
    {
        var text = new StringWriter();
        var code = parsed.Invoke(new InvocationConfiguration { Output = text, Error = shell.Error, EnableDefaultExceptionHandler = false });
        shell.Out.Write(text.ToString().Replace($"\n  {RootCommand.ExecutableName} ", "\n  grid ", StringComparison.Ordinal));
        return code;
    }

    // The library names the type of .NET; numbers are the only ones here that can fail.
    private static string Said(string message) => NoValue().Match(message) is { Success: true, Groups: var found }
        ? $"'{found["where"]}' cannot be '{found["value"]}'; it is a whole number."
        // What may be chosen comes a line each, and an error is one line.
        : string.Join(' ', message.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    [GeneratedRegex("^Cannot parse argument '(?<value>.*)' for [a-z]+ '(?<where>.*)' as expected type 'System\\..*Int", RegexOptions.Singleline)]
    private static partial Regex NoValue();

    private static string Name(CommandResult result)
    {
        var names = new Stack<string>();
        for (var at = result; at is not null; at = at.Parent as CommandResult)
            names.Push(at.Command is RootCommand ? "grid" : at.Command.Name);
        return string.Join(' ', names);
    }
}
