using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Grid.Cli.Output;

namespace Grid.Cli.Up;

/// <summary>The very commands a person would give: each is a run of this program, shown as it could be typed.</summary>
internal sealed class Prompt(PrivateGrid grid, Shell shell, Format format, Action<string> say)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>What is run ends with it, and <see cref="OperationCanceledException"/> says so.</summary>
    public CancellationToken Cancel { get; set; }

    public void Say(string text) => say(text);

    /// <summary>Writes a document where documents are asked for, to be followed by others.</summary>
    public void Document(JsonObject document)
    {
        if (format != Format.Table)
            shell.Out.WriteLine(Output.Document.Text(document, format, repeated: true));
    }

    public Task<JsonNode> GridAsync(params string[] arguments) => RunAsync(show: true, arguments);

    /// <summary>Without a word.</summary>
    public Task<JsonNode> AskAsync(params string[] arguments) => RunAsync(show: false, arguments);

    /// <exception cref="UpFault">it did not come true in time</exception>
    public async Task UntilAsync(string what, Func<Task<bool>> ask, TimeSpan? patience = null)
    {
        var limit = patience ?? Patience;
        for (var watch = Stopwatch.StartNew(); watch.Elapsed < limit; await Task.Delay(100, Cancel))
        {
            if (await ask())
                return;
        }
        throw new UpFault(string.Create(CultureInfo.InvariantCulture, $"Waited {limit.TotalSeconds:0} s for {what}."));
    }

    /// <exception cref="UpFault">it failed</exception>
    private async Task<JsonNode> RunAsync(bool show, string[] arguments)
    {
        var table = show && format == Format.Table;
        if (table)
            say($"\n$ grid {string.Join(' ', arguments.Select(a => a.Replace(grid.Directory + "/", "", StringComparison.Ordinal)))}");
        Outcome? outcome = null;
        var inner = shell with
        {
            In = TextReader.Null,
            // A key that somebody sealed in this home is not asked for.
            Terminal = shell.Terminal with { ReadSecret = _ => null },
            Out = table ? shell.Out : TextWriter.Null,
            Error = table ? shell.Error : TextWriter.Null,
            Ended = o => outcome = o,
            Hints = false,
            Signals = false,
            Environment = name => name switch
            {
                "GRID_HOME" => grid.Home,
                "GRID_HUB" => grid.Hub,
                _ when name.StartsWith("GRID_", StringComparison.Ordinal) => null,
                _ => shell.Environment(name),
            },
        };
        await CommandLine.RunAsync(arguments, inner, Cancel);
        Cancel.ThrowIfCancellationRequested();
        return outcome switch
        {
            Outcome.Done done => done.Document,
            Outcome.Failed failed => throw new UpFault($"'grid {string.Join(' ', arguments)}': {failed.Problems[0].Refusal.Detail}", failed.Problems[0].Refusal.Next),
            _ => throw new UpFault($"'grid {string.Join(' ', arguments)}' gave nothing."),
        };
    }
}
