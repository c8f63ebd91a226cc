using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Cli.Commands;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;

namespace Grid.Cli;

/// <summary>What stands around every command: reads the settings, runs it, writes how it ended.</summary>
internal sealed class Frame(Shell shell, Options options)
{
    private static readonly TimeSpan WatchEvery = TimeSpan.FromSeconds(2);

    public Shell Shell => shell;

    public Options Options => options;

    public static Command Noun(string name, string description, params ReadOnlySpan<Command> verbs)
    {
        var noun = new Command(name, description);
        foreach (var verb in verbs)
            noun.Add(verb);
        // Where ls has a meaning of its own, list stays list.
        if (!noun.Subcommands.Any(v => v.Name == "ls") && noun.Subcommands.FirstOrDefault(v => v.Name == "list") is { } list)
            list.Aliases.Add("ls");
        return noun;
    }

    public Command Verb(string name, string description, IEnumerable<Symbol> symbols, Func<Session, CancellationToken, Task<Outcome>> run)
    {
        var verb = new Command(name, description);
        Add(verb, symbols);
        verb.SetAction((parsed, cancellation) => RunAsync(parsed, run, cancellation));
        return verb;
    }

    /// <summary>A verb that only reads; it can be repeated until ctrl-C.</summary>
    public Command Reading(string name, string description, IEnumerable<Symbol> symbols, Func<Session, CancellationToken, Task<Outcome>> run)
    {
        var watch = new Option<bool>("--watch", "-w") { Description = $"Show it again every {WatchEvery.TotalSeconds:0} s until ctrl-C" };
        var verb = new Command(name, description);
        Add(verb, [.. symbols, watch]);
        verb.SetAction(async (parsed, cancellation) =>
        {
            if (!parsed.GetValue(watch))
                return await RunAsync(parsed, run, cancellation).ConfigureAwait(false);
            using var screen = shell.Terminal.Out && parsed.GetValue(options.Output) == Format.Table ? new Screen(shell.Out) : null;
            Outcome.Done? last = null;
            while (true)
            {
                var outcome = await OutcomeAsync(parsed, run, cancellation).ConfigureAwait(false);
                // Ctrl-C is how watching ends.
                if (cancellation.IsCancellationRequested)
                    return Exit.Ok;
                // What answered once may answer again; what never did is more likely named wrongly.
                if ((outcome as Outcome.Done ?? (IsAway(outcome) ? last : null)) is not { } shown)
                {
                    screen?.Dispose();
                    return Write(parsed, outcome, repeated: true);
                }
                if (screen is null)
                    Write(parsed, outcome, repeated: true);
                else
                    screen.Show(page => new Page(page, Colour(parsed)).Write([.. outcome is Outcome.Failed away ? away.Problems.Select(Line) : [], .. Wanted(parsed, shown)]));
                last = shown;
                try
                {
                    await Task.Delay(WatchEvery, shell.Time, cancellation).ConfigureAwait(false);
                }
                catch (OperationCanceledException)
                {
                    return Exit.Ok;
                }
            }
        });
        return verb;
    }

    public int Write(ParseResult parsed, Outcome outcome, bool repeated = false)
    {
        shell.Ended?.Invoke(outcome);
        var format = parsed.GetResult(options.Output) is { Errors: var errors } && errors.Any() ? Format.Table : parsed.GetValue(options.Output);
        var colour = Colour(parsed);
        switch (outcome)
        {
            case Outcome.Verbatim { Document: { } document } when format != Format.Table:
                return Write(parsed, Outcome.Of(document), repeated);
            case Outcome.Verbatim verbatim:
                shell.Out.Write(verbatim.Text);
                return Exit.Ok;
            case Outcome.Done done:
                if (format == Format.Table)
                    new Page(shell.Out, colour && shell.Terminal.Out).Write(Wanted(parsed, done));
                else
                    shell.Out.WriteLine(Document.Text(done.Document, format, repeated));
                return done.Code;
            case Outcome.Failed failed:
                WriteProblems(failed, format, colour && shell.Terminal.Error);
                // Who asks plan asks for 0 or 1, and has one answer for all that is neither.
                return failed.Code == Exit.Usage && parsed.CommandResult.Command.Name == PlanCommands.PlanName ? Exit.Error : failed.Code;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    private IEnumerable<Block> Wanted(ParseResult parsed, Outcome.Done done) =>
        shell.Hints && !parsed.GetValue(options.Quiet) ? done.Blocks : done.Blocks.Where(b => b is not Block.Next);

    private void WriteProblems(Outcome.Failed failed, Format format, bool colour)
    {
        if (format == Format.Table)
        {
            var page = new Page(shell.Error, colour);
            foreach (var problem in failed.Problems)
            {
                page.Write([Line(problem)]);
                page.Write([Block.Line($"  next: {Advice.Next(problem)}")]);
            }
            return;
        }
        static JsonObject One(Problem p) => new()
        {
            ["code"] = p.Refusal.Code,
            ["detail"] = p.Refusal.Detail,
            ["next"] = Advice.Next(p),
            ["where"] = p.Where,
        };
        var document = new JsonObject { ["error"] = One(failed.Problems[0]), ["errors"] = new JsonArray([.. failed.Problems.Select(One)]) };
        shell.Error.WriteLine(Document.Text(document, format));
    }

    private static Block Line(Problem problem) => Block.Line($"error[{problem.Refusal.Code}]: {(problem.Where is null ? "" : $"{problem.Where}: ")}{problem.Refusal.Detail}", Ink.Bad);

    public static bool IsAway(Outcome outcome) => outcome is Outcome.Failed { Problems: [{ Refusal.Code: CliCode.LedgerUnreachable or CliCode.HubUnreachable }] };

    private bool Colour(ParseResult parsed) => shell.Environment("NO_COLOR") is not { Length: > 0 } && !parsed.GetValue(options.NoColor);

    private async Task<int> RunAsync(ParseResult parsed, Func<Session, CancellationToken, Task<Outcome>> run, CancellationToken cancellation) =>
        Write(parsed, await OutcomeAsync(parsed, run, cancellation).ConfigureAwait(false));

    private async Task<Outcome> OutcomeAsync(ParseResult parsed, Func<Session, CancellationToken, Task<Outcome>> run, CancellationToken cancellation)
    {
        var home = Context.HomeOf(shell.Environment, parsed.GetValue(options.Home));
        if (Context.Read(home, shell.Environment, options.Flags(parsed), out var problems) is not { } context)
            return new Outcome.Failed(problems);
        using var session = new Session(shell, parsed, context, parsed.GetValue(options.Output), parsed.GetValue(options.Quiet)) { Colour = Colour(parsed) };
        if (parsed.GetValue(options.Account) is { } named && session.Unknown(named) is { } unknown)
            return unknown;
        try
        {
            return await run(session, cancellation).ConfigureAwait(false);
        }
        catch (LedgerUnreachableException e)
        {
            return new Refusal(CliCode.LedgerUnreachable, e.Message, "Check the address and the network, then run the same command again; nothing is done twice.");
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return new Outcome.Failed([new Problem(new Refusal(CliCode.Interrupted, "Interrupted; what was submitted before stays so.", "'grid status' shows how things stand."))], Exit.Interrupted);
        }
    }

    private static void Add(Command command, IEnumerable<Symbol> symbols)
    {
        foreach (var symbol in symbols)
        {
            if (symbol is Argument argument)
            {
                // Else help asks its completions, and prints what lives on this machine and in the ledger.
                argument.HelpName ??= argument.Name;
                command.Add(argument);
            }
            else if (symbol is Option option)
                command.Add(option);
        }
    }
}
