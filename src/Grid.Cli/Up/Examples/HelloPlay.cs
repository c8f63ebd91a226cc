using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Grid.Cli.Output;

namespace Grid.Cli.Up;

/// <summary>
/// The main job, from keys to proof, by the very commands a person would give: every step is a run of this program, shown as it could be typed.
/// </summary>
internal sealed class Play(PrivateGrid grid, Shell shell, Format format, Action<string> say)
{
    private const string Agreement = "hello";
    private const string Workload = "hello/web";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly JsonObject _result = new() { ["ledger"] = grid.Ledger, ["hub"] = grid.Hub };
    private readonly JsonArray _stages = [];
    private string _ledgerKey = "";
    private bool _inForce;

    // Commands end with the play, but for the last ones, which clear up after a ctrl-C.
    private CancellationToken _cancel;

    public async Task<Outcome> RunAsync(bool once, CancellationToken cancel)
    {
        _cancel = cancel;
        try
        {
            await StageAsync("parties", () => PartiesAsync(cancel));
            await StageAsync("node", () => NodeAsync(cancel));
            await StageAsync("root", () => RootAsync(cancel));
            await StageAsync("flist", () => FlistAsync(cancel));
            await StageAsync("plan", () => PlanAsync(cancel));
            await StageAsync("agree", () => AgreeAsync(cancel));
            await StageAsync("run", () => RunningAsync(cancel));
            await StageAsync("page", () => PageAsync(cancel));
            await StageAsync("verify", () => VerifyAsync(cancel));
            if (!once)
                await StayAsync(cancel);
        }
        finally
        {
            // Also after ctrl-C or a failed step: what runs here ends before the grid does.
            _cancel = CancellationToken.None;
            if (_inForce)
                await StageAsync("cancel", CancelAsync);
        }
        _result["stages"] = _stages;
        _result["verdict"] = "done";
        return Outcome.Of(_result, Block.Line("Done: agreed, ran, proven, cancelled, gone.", Ink.Good));
    }

    private async Task PartiesAsync(CancellationToken cancel)
    {
        await GridAsync("ledger", "trust", grid.Ledger, "--yes");
        _ledgerKey = (string)(await GridAsync("ledger", "status"))["key"]!;
        await GridAsync("key", "new", "alice", "--no-passphrase");
        await GridAsync("key", "new", "farmer", "--no-passphrase");
        _result["user"] = (string?)(await GridAsync("account", "open", "alice"))["id"];
        _result["farmer"] = (string?)(await GridAsync("account", "open", "farmer"))["id"];
        _result["farm"] = (string?)(await GridAsync("farm", "register", "my-farm", "--account", "farmer"))["id"];
        await File.WriteAllTextAsync(grid.At("offer.yaml"), OfferYaml, cancel);
        _result["offer"] = (string?)(await GridAsync("offer", "post", "my-farm", "-f", grid.At("offer.yaml"), "--account", "farmer"))["id"];
    }

    private async Task NodeAsync(CancellationToken cancel)
    {
        await GridAsync("node", "invite", "my-farm", "-f", grid.At("invite.json"), "--account", "farmer");
        say("Starting the node with the invite …");
        _result["node"] = await grid.StartNodeAsync(grid.At("invite.json"), _ledgerKey, cancel);
        await GridAsync("node", "alias", (string)_result["node"]!, "north");
    }

    private async Task RootAsync(CancellationToken cancel)
    {
        say("Making a root file system from Debian's packages: nginx and what it needs …");
        await ExampleRoot.MakeAsync(grid.Launcher, grid.At("root"), cancel);
    }

    private async Task FlistAsync(CancellationToken cancel)
    {
        _result["flist"] = (string?)(await GridAsync("flist", "build", grid.At("root")))["id"];
        await GridAsync("flist", "push", (string)_result["flist"]!);
        await File.WriteAllTextAsync(grid.At("grid.yaml"), GridYaml((string)_result["flist"]!), cancel);
    }

    private async Task PlanAsync(CancellationToken cancel)
    {
        var plan = await GridAsync("plan", grid.At("grid.yaml"), "--account", "alice");
        _result["plan"] = (string?)plan["plan"];
        _result["price"] = plan["price"]?.DeepClone();
    }

    private async Task AgreeAsync(CancellationToken cancel)
    {
        var plan = (string)_result["plan"]!;
        _result["agreement"] = (string?)(await GridAsync("apply", grid.At("grid.yaml"), "--plan", plan, "--account", "alice", "--yes", "--no-wait"))["agreement"];
        _inForce = true;
        await GridAsync("agreement", "countersign", (string)_result["agreement"]!, "--account", "farmer", "--yes");
    }

    private async Task RunningAsync(CancellationToken cancel) =>
        _result["status"] = (string?)(await GridAsync("apply", grid.At("grid.yaml"), "--plan", (string)_result["plan"]!, "--account", "alice", "--yes"))["status"];

    private async Task PageAsync(CancellationToken cancel)
    {
        var pid = Pid() ?? throw new UpFault("The node says that the workload runs, and shows no process.");
        string? page = null;
        await UntilAsync("the web server inside to answer", async () =>
        {
            try
            {
                page = await NamespacePage.GetAsync(pid, ExampleRoot.Port, cancel);
                return true;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        });
        if (page != ExampleRoot.Page)
            throw new UpFault($"The page from inside is not the one that was agreed: '{page}'.");
        say($"From inside the container's own network: {page.Trim()}");
        _result["page"] = page;
        await GridAsync("explain", Workload);
    }

    private async Task VerifyAsync(CancellationToken cancel)
    {
        await GridAsync("agreement", "export", Agreement, "-f", grid.At("hello.bundle"));
        _result["bundleVerdict"] = (string?)(await GridAsync("verify", grid.At("hello.bundle"), "--ledger-key", _ledgerKey))["verdict"];
    }

    private async Task CancelAsync()
    {
        var pid = Pid();
        await GridAsync("cancel", Agreement, "--account", "alice", "--yes");
        _inForce = false;
        await UntilAsync("the container to be gone", () => Task.FromResult(pid is null || !Directory.Exists($"/proc/{pid}")));
        await UntilAsync("its last receipt", async () => (string?)(await GridAsync(show: false, "explain", Workload))["state"] == "gone");
        _result["gone"] = true;
        say("Gone: the process, its mounts and its cgroup; the last receipt says so.");
    }

    private async Task StayAsync(CancellationToken cancel)
    {
        say($"""

            The grid stays up until ctrl-C. Try, in another terminal:

              export GRID_HOME={grid.Home} GRID_HUB={grid.Hub} GRID_NODE_LOGS={grid.NodeData}/logs
              grid status --watch
              grid explain {Workload}
              grid logs {Workload}
              grid agreement history {Agreement}
              grid ledger status
            """);
        try
        {
            await Task.Delay(Timeout.Infinite, cancel);
        }
        catch (OperationCanceledException)
        {
            say("Ending …");
        }
    }

    private async Task StageAsync(string name, Func<Task> run)
    {
        var watch = Stopwatch.StartNew();
        await run();
        _stages.Add(new JsonObject { ["stage"] = name, ["seconds"] = Math.Round(watch.Elapsed.TotalSeconds, 3) });
    }

    private Task<JsonNode> GridAsync(params string[] arguments) => GridAsync(show: true, arguments);

    /// <summary>Runs this program in this process, as a person would in a terminal.</summary>
    /// <exception cref="UpFault">it failed</exception>
    private async Task<JsonNode> GridAsync(bool show, params string[] arguments)
    {
        var table = show && format == Format.Table;
        if (table)
            say($"\n$ grid {string.Join(' ', arguments.Select(a => a.Replace(grid.Directory + "/", "", StringComparison.Ordinal)))}");
        Outcome? outcome = null;
        var inner = shell with
        {
            In = TextReader.Null,
            Out = table ? shell.Out : TextWriter.Null,
            Error = table ? shell.Error : TextWriter.Null,
            Ended = o => outcome = o,
            Environment = name => name switch
            {
                "GRID_HOME" => grid.Home,
                "GRID_HUB" => grid.Hub,
                "GRID_NODE_LOGS" => Path.Combine(grid.NodeData, "logs"),
                _ when name.StartsWith("GRID_", StringComparison.Ordinal) => null,
                _ => shell.Environment(name),
            },
        };
        await CommandLine.RunAsync(arguments, inner, _cancel);
        _cancel.ThrowIfCancellationRequested();
        return outcome switch
        {
            Outcome.Done done => done.Document,
            Outcome.Failed failed => throw new UpFault($"'grid {string.Join(' ', arguments)}': {failed.Problems[0].Refusal}"),
            _ => throw new UpFault($"'grid {string.Join(' ', arguments)}' gave nothing."),
        };
    }

    // The node's own word on its machine; the agent has no inbound interface.
    private int? Pid()
    {
        var path = Path.Combine(grid.NodeData, "status.json");
        return File.Exists(path) ? (int?)JsonNode.Parse(File.ReadAllText(path))?["workloads"]?.AsArray().FirstOrDefault(w => (string?)w!["phase"] == "running")?["pid"] : null;
    }

    private async Task UntilAsync(string what, Func<Task<bool>> ask)
    {
        for (var watch = Stopwatch.StartNew(); watch.Elapsed < Patience; await Task.Delay(100, _cancel))
        {
            if (await ask())
                return;
        }
        throw new UpFault(string.Create(CultureInfo.InvariantCulture, $"Waited {Patience.TotalSeconds:0} s for {what}."));
    }

    private const string OfferYaml = """
        currency: { code: EUR, decimals: 9 }
        kinds: [container, network, volume]
        prices: { cpu: 3, memory: 1000, ssd: 10 }
        ceiling: { cpu: 2, memory: 2GiB, ssd: 4GiB }
        notice: 0s
        expires: +30d

        """;

    private static string GridYaml(string flist) => $$"""
        name: hello
        node: north
        term:
          until: +24h
          answerBy: +5m
          convergeBy: +10m
        workloads:
          web:
            kind: container
            flist: {{flist}}
            entry: {{ExampleRoot.Entry}}
            args: ["-c", "/etc/grid-example/nginx.conf"]
            user: "1000:1000"
            cpu: 0.5
            memory: 128MiB
            scratch: { /tmp: 16MiB }
            restart: always

        """;
}
