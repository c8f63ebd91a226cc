using System.Collections.Immutable;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grid.Accounts;
using Grid.Agreements;
using Grid.Client;
using Grid.Farms;
using Grid.Flists.Build;
using Grid.Flists.Hub;
using Grid.Flists.Mount;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Node.Agent;
using Grid.Node.Containers;
using Grid.Node.Secrets;
using Grid.Nodes;
using Grid.Offers;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Bench.Start;

/// <summary>The published programs as a grid of one farm with one node, all of it below one directory.</summary>
internal sealed class PrivateGrid : IAsyncDisposable
{
    private const string Origin = "grid.bench/start";
    private const string Busybox = "/bin/busybox";

    // Ends when it is asked to: the first process of a pid namespace is deaf to what it does not listen for.
    public const string Idle = "trap 'exit 0' TERM; while :; do /bin/busybox sleep 1000 & wait; done";

    private static readonly Currency Euro = new("EUR", 9);
    private static readonly Prices Prices = new(3, 1_000_000, 70_000, 9_000, 1_000);

    private readonly string _directory;
    private readonly List<IAsyncDisposable> _programs = [];
    private readonly Dictionary<string, SigningKey> _keys = [];
    private HttpClient _http = null!;
    private string _hub = "";
    private Func<Task<(RunningProgram Program, string Word)>>? _startAgent;
    private RunningProgram? _agent;
    private AccountId _user;
    private FarmPart _part = null!;

    private PrivateGrid(string directory) => _directory = directory;

    public LedgerClient Ledger { get; private set; } = null!;

    public NodePaths Paths { get; private set; } = null!;

    public NodeId Node => _part.Nodes[0];

    public FlistId Flist { get; private set; }

    /// <param name="offered">what the node says that it has; nothing: what the machine has</param>
    public static async Task<PrivateGrid> StartAsync(string programs, string directory, params ImmutableArray<string> offered)
    {
        var grid = new PrivateGrid(directory);
        try
        {
            await grid.StartAsync(programs, offered);
            return grid;
        }
        catch
        {
            await grid.DisposeAsync();
            throw;
        }
    }

    /// <summary>The process id of the node's agent.</summary>
    public int Agent => _agent!.Id;

    /// <summary>What the flist was built from.</summary>
    public string Tree => At("tree");

    /// <summary>A small container that does nothing.</summary>
    public Container Container(string name, string script = Idle, FlistId? flist = null) => new(
        name, Node, flist ?? Flist, Busybox, ["sh", "-c", script], [], "/", new ContainerUser(1000, 1000), new MilliCores(100), Bytes.MiB(32), 16, [],
        [new Scratch("/tmp", Bytes.MiB(1))], new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(8)), Bytes.KiB(256), [], []);

    /// <summary>An agreement signed by its user; with the farm's signature too.</summary>
    /// <param name="containers">sorted by name</param>
    public (Statement Proposal, Statement Countersigned, AgreementId Id) Draft(params ImmutableArray<Container> containers)
    {
        var now = Now();
        var rate = Prices.Rate(containers.Aggregate(Capacity.None, (sum, c) => sum + c.Demand));
        var terms = new AgreementTerms(1, null, _user, [_part],
            new Term(null, null, TimeSpan.Zero, now.AddMinutes(3), now.AddMinutes(6), new Offline(TimeSpan.FromHours(1), Pause: false)),
            new MoneyTerms(Euro, rate, [new FarmRate(_part.Farm, rate)], TimeSpan.FromDays(1)), [.. containers], "");
        var payload = new Payload(Origin, _user.Value, now, now.AddDays(1), terms).Encode();
        var proposal = Statement.Sign(payload, Key("user"));
        return (proposal, Statement.Sign(payload, Key("user"), Key("farmer")), new AgreementId(proposal.Id.Value));
    }

    public Statement Cancellation(AgreementId id) => Sign(_user.Value, new CancelAgreement(id), "user");

    /// <summary>Returns when the ledger has answered that it is durable.</summary>
    public async Task PostAsync(Statement statement)
    {
        using var content = new ReadOnlyMemoryContent(statement.Bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/cose");
        using var response = await _http.PostAsync(new Uri("v1/statements", UriKind.Relative), content);
        var answer = await response.Content.ReadAsStringAsync();
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException($"The ledger answered {answer}");
    }

    /// <summary>kill -9.</summary>
    public Task KillAgentAsync() => _agent!.KillAsync();

    /// <summary>Starts it again and waits until it says that it is ready.</summary>
    public async Task<string> StartAgentAsync()
    {
        (_agent, var word) = await _startAgent!();
        return word;
    }

    public async ValueTask DisposeAsync()
    {
        if (_agent is not null)
            await _agent.DisposeAsync();
        foreach (var program in Enumerable.Reverse(_programs))
            await program.DisposeAsync();
        if (Paths is not null)
            await ClearAsync();
        Ledger?.Dispose();
        foreach (var key in _keys.Values)
            key.Dispose();
    }

    private string At(string name) => Path.Combine(_directory, name);

    private static DateTimeOffset Now() => DateTimeOffset.FromUnixTimeSeconds(DateTimeOffset.UtcNow.ToUnixTimeSeconds());

    private SigningKey Key(string name) =>
        _keys.TryGetValue(name, out var key) ? key : _keys[name] = SigningKey.FromSeed(SHA256.HashData(Encoding.UTF8.GetBytes($"{_directory} {name}")));

    private Statement Sign(Digest? by, Body body, params string[] keys) =>
        Statement.Sign(new Payload(Origin, by, Now(), Now().AddDays(1), body), [.. keys.Select(Key)]);

    private async Task<Digest> RecordAsync(Digest? by, Body body, params string[] keys)
    {
        var statement = Sign(by, body, keys);
        await PostAsync(statement);
        return statement.Id.Value;
    }

    private async Task StartAsync(string programs, ImmutableArray<string> offered)
    {
        _hub = await RunAsync(programs, "grid-hub", "--listen", "http://127.0.0.1:0", "--store", At("hub"));
        var ledger = await RunAsync(programs, "grid-ledger", "--data", At("ledger"), "--origin", Origin, "--key", At("ledger.key"), "--listen", "http://127.0.0.1:0", "--hub", _hub);
        _http = new HttpClient { BaseAddress = new Uri(ledger) };
        if (!(await LedgerClient.DiscoverAsync(_http, TimeProvider.System, default)).Try(out var info, out var refusal))
            throw new InvalidOperationException(refusal.ToString());
        Ledger = new LedgerClient(_http, new LedgerTrust(Origin, info.Key), new MemoryCheckpointStore(), TimeProvider.System);

        _user = new AccountId(await RecordAsync(null, new OpenAccount(new KeyPolicy([Key("user").Public], 1)), "user"));
        var farmer = await RecordAsync(null, new OpenAccount(new KeyPolicy([Key("farmer").Public], 1)), "farmer");
        var farm = new FarmId(await RecordAsync(farmer, new RegisterFarm("bench"), "farmer"));
        var offer = new OfferId(await RecordAsync(farmer, new PostOffer(farm, [], ["container"], Prices, Euro,
            new Capacity(new MilliCores(100_000), Bytes.GiB(100), Bytes.GiB(500), Bytes.Zero, 0), TimeSpan.Zero, Now().AddDays(1)), "farmer"));
        var seed = RandomNumberGenerator.GetBytes(SigningKey.SeedSize);
        using var joining = SigningKey.FromSeed(seed);
        var invite = new StatementId(await RecordAsync(farmer, new InviteNode(farm, joining.Public, Now().AddHours(1)), "farmer"));
        await File.WriteAllTextAsync(At("invite"), JsonSerializer.Serialize(new { version = 1, farm = farm.ToString(), invite = invite.ToString(), seed = Convert.ToBase64String(seed) }));

        Flist = await PublishAsync("tree", _ => { });
        var name = $"grid-bench-{Environment.ProcessId}";
        Paths = new NodePaths(At("node"), $"/run/{name}", name);
        var starts = 0;
        _startAgent = () => RunningProgram.StartAsync(programs, "grid-node", At($"grid-node-{++starts}.log"), ["--ledger", ledger, "--origin", Origin, "--ledger-key", info.Key.ToString(), "--hub", _hub,
            "--data", Paths.Data, "--run", Paths.Run, "--cgroup", Paths.Cgroup, "--invite", At("invite"), .. offered]);
        var node = Units.Id.Parse<NodeId>(await StartAgentAsync());
        _part = new FarmPart(farm, offer, [node]);
    }

    private async Task<string> RunAsync(string programs, string name, params IEnumerable<string> arguments)
    {
        var (program, word) = await RunningProgram.StartAsync(programs, name, At($"{name}.log"), arguments);
        _programs.Add(program);
        return word;
    }

    /// <summary>One static program, the directories that every container mounts over, and what is added.</summary>
    public async Task<FlistId> PublishAsync(string name, Action<string> add)
    {
        var tree = At(name);
        foreach (var directory in new[] { "bin", "proc", "sys", "dev", "tmp", "etc" })
            Directory.CreateDirectory(Path.Combine(tree, directory));
        File.Copy(Busybox, tree + Busybox);
        add(tree);
        using var store = DirectoryStore.Open(At($"{name}-built"));
        await using var writer = new PackWriter(store);
        var built = await FlistBuilder.BuildAsync(new DirectorySource(tree), BuildOptions.Default, writer, default);
        await writer.CompleteAsync(default);
        store.PutMeta(built.Meta);
        if (store.Publish(built.Manifest.Id, built.Manifest.Encode(), default) is { } incomplete)
            throw new InvalidOperationException($"{incomplete}");
        using var client = new HubClient([_hub]);
        await Transfer.PushAsync(store, built.Manifest.Id, client.Hubs[0], null, default);
        return built.Manifest.Id;
    }

    private async Task ClearAsync()
    {
        if (ContainerHost.Open(new ContainerPaths(Paths.Run, Paths.Logs, Paths.Cgroup), TimeProvider.System, out _) is { } host)
        {
            foreach (var id in host.Observe().Containers.Keys)
                await host.RemoveAsync(id, keepLog: false);
            host.Leave();
        }
        BareRuntime.Leave(Paths);
        foreach (var mount in FlistMount.All().Where(m => m.Mountpoint.StartsWith(Paths.Run + "/", StringComparison.Ordinal)).ToList())
            FlistMount.Stop(mount.Mountpoint, detach: true);
        RunDirectory.Leave(Paths.Run);
        if (Directory.Exists(Paths.Run))
            Directory.Delete(Paths.Run, recursive: true);
    }
}
