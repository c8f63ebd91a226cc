using System.Diagnostics;
using System.Text.Json.Nodes;
using Grid.Cli.Output;

namespace Grid.Cli.Up;

/// <summary>The main job, from keys to proof, on a private grid: what every example has in common.</summary>
internal abstract class Play(PrivateGrid grid, Prompt prompt)
{
    protected const string User = "alice";

    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    private readonly JsonArray _stages = [];
    private bool _signed;

    protected PrivateGrid Grid => grid;

    protected Prompt Prompt => prompt;

    protected JsonObject Result { get; } = new() { ["ledger"] = grid.Ledger, ["hub"] = grid.Hub };

    /// <summary>The name of the agreement in grid.yaml.</summary>
    protected abstract string Agreement { get; }

    protected abstract IReadOnlyList<Farmer> Farmers { get; }

    /// <summary>The node's name and the name of its farm.</summary>
    protected abstract IReadOnlyList<(string Node, Farmer Farmer)> Nodes { get; }

    /// <summary>What to try in another terminal while it stays up.</summary>
    protected abstract IEnumerable<string> ToTry { get; }

    protected abstract string Done { get; }

    protected string LedgerKey { get; private set; } = "";

    /// <param name="once">prove it, cancel, and end; else it stays until ctrl-C</param>
    public async Task<Outcome> RunAsync(bool once, CancellationToken cancel)
    {
        prompt.Cancel = cancel;
        var played = false;
        try
        {
            await StageAsync("parties", PartiesAsync);
            await StageAsync("node", NodesAsync);
            foreach (var (name, run) in Acts())
                await StageAsync(name, run);
            played = true;
            if (!once)
                await StayAsync(cancel);
        }
        finally
        {
            // Also after ctrl-C or a failed step: what runs here ends before the grid does.
            prompt.Cancel = CancellationToken.None;
            if (_signed && !(once && played))
                await StageAsync("leave", LeaveAsync);
        }
        if (once)
            await StageAsync("cancel", CancelAsync);
        Result["stages"] = _stages;
        Result["verdict"] = "done";
        return Outcome.Of(Result, Block.Line(Done, Ink.Good));
    }

    /// <summary>What a node is told beside the rest.</summary>
    protected virtual Task<IReadOnlyList<string>> OptionsAsync(string node) => Task.FromResult<IReadOnlyList<string>>([]);

    /// <summary>From root file systems to proof, in order.</summary>
    protected abstract IEnumerable<(string Stage, Func<Task> Run)> Acts();

    /// <summary>Shows that it is over, after its processes are gone.</summary>
    protected abstract Task GoneAsync();

    /// <summary>Packs a tree and lays it down at the hub.</summary>
    /// <returns>fl1…</returns>
    protected async Task<string> PublishAsync(string root)
    {
        var id = (string)(await prompt.GridAsync("flist", "build", root))["id"]!;
        await prompt.GridAsync("flist", "push", id);
        return id;
    }

    /// <summary>Shows the plan of grid.yaml.</summary>
    /// <returns>its digest</returns>
    protected async Task<string> PlanAsync()
    {
        var plan = await prompt.GridAsync("plan", grid.At("grid.yaml"), "--account", User);
        Result["plan"] = (string?)plan["plan"];
        Result["price"] = plan["price"]?.DeepClone();
        return (string)plan["plan"]!;
    }

    /// <summary>Signs for the user and for every farmer.</summary>
    protected async Task AgreeAsync(string plan)
    {
        Result["agreement"] = (string?)(await prompt.GridAsync("apply", grid.At("grid.yaml"), "--plan", plan, "--account", User, "--yes", "--no-wait"))["agreement"];
        _signed = true;
        foreach (var farmer in Farmers)
            await prompt.GridAsync("agreement", "countersign", (string)Result["agreement"]!, "--account", farmer.Account, "--yes");
    }

    protected async Task RunningAsync(string plan) =>
        Result["status"] = (string?)(await prompt.GridAsync("apply", grid.At("grid.yaml"), "--plan", plan, "--account", User, "--yes"))["status"];

    protected async Task VerifyAsync()
    {
        var bundle = grid.At($"{Agreement}.bundle");
        await prompt.GridAsync("agreement", "export", Agreement, "-f", bundle);
        var verified = await prompt.GridAsync("verify", bundle, "--ledger-key", LedgerKey);
        Result["bundleVerdict"] = (string?)verified["verdict"];
        Result["log"] = new JsonObject { ["key"] = LedgerKey, ["size"] = verified["size"]?.DeepClone(), ["root"] = (string?)verified["root"] };
    }

    /// <summary>The first process of a workload. The node's own word on its machine; the agent has no inbound interface.</summary>
    protected int? Pid(string node, string workload) => Seen(node)
        .Where(w => (string?)w["name"] == workload && (string?)w["phase"] == "running").Select(w => (int?)w["pid"]).FirstOrDefault();

    private IEnumerable<JsonNode> Seen(string node)
    {
        var path = Path.Combine(grid.Node(node).Data, "status.json");
        return File.Exists(path) ? JsonNode.Parse(File.ReadAllText(path))?["workloads"]?.AsArray().OfType<JsonNode>() ?? [] : [];
    }

    private async Task PartiesAsync()
    {
        await prompt.GridAsync("ledger", "trust", grid.Ledger, "--yes");
        LedgerKey = (string)(await prompt.GridAsync("ledger", "status"))["key"]!;
        await prompt.GridAsync("key", "new", User, "--no-passphrase");
        Result["user"] = (string?)(await prompt.GridAsync("account", "open", User))["id"];
        foreach (var farmer in Farmers)
        {
            await prompt.GridAsync("key", "new", farmer.Account, "--no-passphrase");
            var offer = grid.At($"{farmer.Farm}.offer.yaml");
            await File.WriteAllTextAsync(offer, farmer.Offer);
            Result[farmer.Account] = new JsonObject
            {
                ["account"] = (string?)(await prompt.GridAsync("account", "open", farmer.Account))["id"],
                ["farm"] = (string?)(await prompt.GridAsync("farm", "register", farmer.Farm, "--account", farmer.Account))["id"],
                ["offer"] = (string?)(await prompt.GridAsync("offer", "post", farmer.Farm, "-f", offer, "--account", farmer.Account))["id"],
            };
        }
    }

    private async Task NodesAsync()
    {
        var nodes = new JsonObject();
        Result["nodes"] = nodes;
        foreach (var (node, farmer) in Nodes)
        {
            var invite = grid.At($"{node}.invite.json");
            await prompt.GridAsync("node", "invite", farmer.Farm, "-f", invite, "--account", farmer.Account);
            prompt.Say($"Starting the node '{node}' with the invite …");
            nodes[node] = await grid.StartNodeAsync(node, invite, LedgerKey, await OptionsAsync(node), prompt.Cancel);
            await prompt.GridAsync("node", "alias", (string)nodes[node]!, node);
        }
    }

    private async Task CancelAsync()
    {
        var ended = await EndAsync((string)Result["agreement"]!, Agreement, User);
        await prompt.UntilAsync("every process to be gone", () => Task.FromResult(!ended.Exists(Lives)));
        await GoneAsync();
        Result["gone"] = true;
    }

    // Ends in order what may still run, whoever of this home agreed it. It proves nothing, and nothing holds it up: what a stranger agreed, what no
    // key here can cancel and what does not end in time end with their node.
    private async Task LeaveAsync()
    {
        var ended = new List<int>();
        await TryAsync(async () =>
        {
            var names = Items(await prompt.AskAsync("account", "list")).ToDictionary(a => (string)a["id"]!, a => (string)a["name"]!);
            foreach (var agreement in Items(await prompt.AskAsync("agreement", "list")).Where(a => (string?)a["status"] is not ("ended" or "refused" or "lapsed" or "withdrawn")))
            {
                var id = (string)agreement["id"]!;
                if (names.TryGetValue((string?)agreement["user"] ?? "", out var user))
                    await TryAsync(async () => ended.AddRange(await EndAsync(id, id == (string?)Result["agreement"] ? Agreement : id, user)));
            }
        });
        await TryAsync(() => prompt.UntilAsync("every process to be gone", () => Task.FromResult(!ended.Exists(Lives)), Grace));
    }

    private async Task TryAsync(Func<Task> act)
    {
        try
        {
            await act();
        }
        catch (UpFault e)
        {
            prompt.Say($"{e.Message} What still runs ends with its node.");
        }
    }

    /// <returns>the processes it had</returns>
    private async Task<List<int>> EndAsync(string id, string name, string user)
    {
        var processes = Nodes.SelectMany(n => Seen(n.Node)).Where(w => (string?)w["agreement"] == id).Select(w => (int?)w["pid"]).OfType<int>().ToList();
        await prompt.GridAsync("cancel", name, "--account", user, "--yes");
        return processes;
    }

    private static bool Lives(int process) => Directory.Exists($"/proc/{process}");

    private static IEnumerable<JsonNode> Items(JsonNode list) => list["items"]!.AsArray().OfType<JsonNode>();

    private async Task StayAsync(CancellationToken cancel)
    {
        var logs = string.Join(':', Nodes.Select(n => Path.Combine(grid.Node(n.Node).Data, "logs")));
        Result["environment"] = new JsonObject { ["GRID_HOME"] = grid.Home, ["GRID_ACCOUNT"] = User, ["GRID_HUB"] = grid.Hub, ["GRID_NODE_LOGS"] = logs };
        prompt.Document(Result);
        prompt.Say($"""

            The grid stays up until ctrl-C. Try, in another terminal:

              export PATH={AppContext.BaseDirectory.TrimEnd('/')}:$PATH
              export GRID_HOME={grid.Home} GRID_ACCOUNT={User} GRID_HUB={grid.Hub} GRID_NODE_LOGS={logs}
              {string.Join("\n  ", ToTry.Prepend($"grid plan {grid.At("grid.yaml")}"))}
            """);
        try
        {
            await Task.Delay(Timeout.Infinite, cancel);
        }
        catch (OperationCanceledException)
        {
            prompt.Say("Ending …");
        }
    }

    private async Task StageAsync(string name, Func<Task> run)
    {
        var watch = Stopwatch.StartNew();
        await run();
        _stages.Add(new JsonObject { ["stage"] = name, ["seconds"] = Math.Round(watch.Elapsed.TotalSeconds, 3) });
    }
}

/// <param name="Account">the name of its key and account</param>
/// <param name="Offer">its price list</param>
internal sealed record Farmer(string Account, string Farm, string Offer);
