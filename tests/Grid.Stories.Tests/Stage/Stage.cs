using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grid.Accounts;
using Grid.Agreements;
using Grid.Cli.Up;
using Grid.Client;
using Grid.Farms;
using Grid.Flists;
using Grid.Flists.Build;
using Grid.Flists.Hub;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Nodes;
using Grid.Offers;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests.Stage;

/// <summary>
/// A whole grid on this machine, made of the real programs: a ledger on its own PostgreSQL, a hub, and as many farms and nodes as a story wants.
/// Everything it makes lies under one directory and is gone afterwards.
/// </summary>
public sealed class Stage : IAsyncDisposable
{
    public const string Origin = "grid.story/main";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static int s_count;

    private readonly ConcurrentDictionary<string, SigningKey> _keys = [];
    private readonly List<Actor> _actors = [];
    private readonly ConcurrentQueue<(AgreementId, AgreementTerms)> _proposed = [];

    private readonly ConcurrentDictionary<string, Launcher> _launchers = new();

    private Stage(string directory) => Directory = directory;

    public string Directory { get; }

    public Actor Ledger { get; private set; } = null!;

    public Actor Hub { get; private set; } = null!;

    public Uri LedgerAddress { get; private set; } = null!;

    public Uri HubAddress { get; private set; } = null!;

    public LedgerClient Client { get; private set; } = null!;

    public PublicKey LedgerKey { get; private set; }

    public AccountId User { get; private set; }

    public List<StageFarm> Farms { get; } = [];

    /// <summary>Every version of an agreement that was recorded.</summary>
    public IReadOnlyCollection<(AgreementId Id, AgreementTerms Terms)> Proposed => _proposed;

    public static readonly Currency Euro = new("EUR", 9);

    /// <summary>Skips the story, visibly, where this machine cannot play it.</summary>
    /// <param name="examine">false: a ledger that does not look at flists, as one that lies would not</param>
    public static async Task<Stage> SetAsync(bool examine = true)
    {
        if (!Environment.IsPrivilegedProcess)
            Assert.Skip("The stories need root: mounts, namespaces, cgroups.");
        foreach (var program in new[] { "/usr/bin/crun", "/usr/bin/conmon", "/dev/fuse" })
        {
            if (!File.Exists(program))
                Assert.Skip($"The stories need {program}; run tools/setup.");
        }
        var directory = Path.Combine(Path.GetTempPath(), $"grid-story-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}");
        System.IO.Directory.CreateDirectory(directory);
        // PostgreSQL runs as another user and must be able to walk to its directory.
        File.SetUnixFileMode(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        var stage = new Stage(directory);
        try
        {
            (stage.Hub, var hub) = await stage.StartAsync("grid-hub", "--listen", "http://127.0.0.1:0", "--store", stage.At("hub"));
            stage.HubAddress = new Uri(hub);
            await stage.StartLedgerAsync(examine);
            stage.User = new AccountId((await stage.SubmitAsync(stage.Sign(null, new OpenAccount(new KeyPolicy([stage.Key("user").Public], 1)), "user"))).Statement.Id.Value);
            return stage;
        }
        catch
        {
            await stage.DisposeAsync();
            throw;
        }
    }

    public string At(string name) => System.IO.Path.Combine(Directory, name);

    public SigningKey Key(string name) =>
        _keys.GetOrAdd(name, n => SigningKey.FromSeed(SHA256.HashData(Encoding.UTF8.GetBytes($"{Directory} {n}"))));

    /// <param name="look">where it looks at flists; null: at the stage's own hub, which is honest</param>
    public async Task StartLedgerAsync(bool examine, Uri? look = null)
    {
        string[] hub = examine ? ["--hub", (look ?? HubAddress).AbsoluteUri] : [];
        string listen = LedgerAddress is null ? "http://127.0.0.1:0" : LedgerAddress.GetLeftPart(UriPartial.Authority);
        (Ledger, var address) = await StartAsync("grid-ledger", ["--data", At("ledger"), "--origin", Origin, "--key", At("ledger.key"), "--listen", listen, .. hub]);
        LedgerAddress = new Uri(address);
        using var http = new HttpClient { BaseAddress = LedgerAddress };
        var info = await LedgerClient.DiscoverAsync(http, TimeProvider.System, default);
        Assert.True(info.Try(out var found, out var refusal), refusal?.ToString());
        LedgerKey = found.Key;
        Client?.Dispose();
        Client = new LedgerClient(new HttpClient { BaseAddress = LedgerAddress }, new LedgerTrust(Origin, LedgerKey), new MemoryCheckpointStore(), TimeProvider.System);
    }

    public Task<(Actor Actor, string Ready)> StartAsync(string program, params IEnumerable<string> arguments) => StartInAsync(null, program, At($"{program}.log"), arguments);

    /// <param name="space">the network namespace it lives in; null is this process' own</param>
    /// <param name="log">nobody else's while it lives</param>
    public async Task<(Actor Actor, string Ready)> StartInAsync(string? space, string program, string log, IEnumerable<string> arguments)
    {
        // A process is born in the namespaces of the thread that starts it, and a thread in those of the one that made it.
        var launcher = _launchers.GetOrAdd(space ?? "", s => s.Length == 0 ? new Launcher(Directory) : UnderlayNetwork.Inside(s, () => new Launcher(Directory)));
        var (process, ready) = await ChildProcess.StartAsync(launcher, Programs.Find(program), log, Patience, default, arguments);
        var actor = new Actor(process);
        _actors.Add(actor);
        return (actor, ready);
    }

    public Statement Sign(Digest? by, Body body, params string[] keys) => Signed(by, body, [.. keys.Select(Key)]);

    public static Statement Signed(Digest? by, Body body, params SigningKey[] keys)
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        return Statement.Sign(new Payload(Origin, by, now, now.AddDays(1), body), keys);
    }

    public async Task<Recorded> SubmitAsync(Statement statement)
    {
        var answer = await Client.SubmitAsync(statement, default);
        Assert.True(answer.Try(out var recorded, out var refusal), refusal?.ToString());
        if (statement.Payload.Body is AgreementTerms terms)
            _proposed.Enqueue((terms.Amends?.Agreement ?? new AgreementId(recorded.Statement.Id.Value), terms));
        return recorded;
    }

    public async Task<string> RefusedAsync(Statement statement)
    {
        var answer = await Client.SubmitAsync(statement, default);
        Assert.False(answer.Try(out _, out var refusal), "It was accepted.");
        return refusal.Code;
    }

    public async Task<StageFarm> AddFarmAsync(string name)
    {
        var account = new AccountId((await SubmitAsync(Sign(null, new OpenAccount(new KeyPolicy([Key(name).Public], 1)), name))).Statement.Id.Value);
        var farm = new FarmId((await SubmitAsync(Sign(account.Value, new RegisterFarm($"farm-{name}"), name))).Statement.Id.Value);
        var prices = new Prices(3, 1_000_000, 70_000, 9_000, 1_000);
        var now = DateTimeOffset.FromUnixTimeSeconds(DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        var offer = new OfferId((await SubmitAsync(Sign(account.Value, new PostOffer(
            farm, [], ["address", "container", "gateway", "network", "vm", "volume"], prices, Euro, new Capacity(new MilliCores(100_000), Bytes.GiB(100), Bytes.GiB(500), Bytes.GiB(500), 4),
            TimeSpan.Zero, now.AddDays(90)), name))).Statement.Id.Value);
        var made = new StageFarm(name, account, farm, offer, prices);
        Farms.Add(made);
        return made;
    }

    /// <summary>Invites a node, starts its agent and waits until it has joined and reported.</summary>
    /// <param name="wire">what connects it to other nodes in namespaces of their own; null: it is in this process' own, reached on loopback</param>
    /// <param name="options">what else its agent is told, by where it is reached</param>
    /// <param name="hub">where it takes flists from; null: from the stage's own, which is honest</param>
    /// <param name="ledger">whom it asks what is agreed; null: the stage's own, likewise</param>
    public async Task<StageNode> AddNodeAsync(StageFarm farm, string name, UnderlayNetwork? wire = null, Func<System.Net.IPAddress, Task<IEnumerable<string>>>? options = null, Uri? hub = null, Uri? ledger = null)
    {
        var seed = SHA256.HashData(Encoding.UTF8.GetBytes($"{Directory} invite {name}"));
        using var key = SigningKey.FromSeed(seed);
        var now = DateTimeOffset.FromUnixTimeSeconds(DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        var invite = (await SubmitAsync(Sign(farm.Account.Value, new InviteNode(farm.Id, key.Public, now.AddHours(1)), farm.Name))).Statement.Id;
        var file = At($"{name}.invite");
        await File.WriteAllTextAsync(file, JsonSerializer.Serialize(new { version = 1, farm = farm.Id.ToString(), invite = invite.ToString(), seed = Convert.ToBase64String(seed) }));
        var node = new StageNode(this, farm, name, file, wire, options, hub ?? HubAddress, ledger);
        await node.StartAsync();
        return node;
    }

    /// <summary>Packs a tree and lays it down at the hub.</summary>
    public async Task<FlistId> PublishAsync(string tree)
    {
        using var store = DirectoryStore.Open(At("built"));
        await using var writer = new PackWriter(store);
        var built = await FlistBuilder.BuildAsync(new DirectorySource(tree), BuildOptions.Default, writer, default);
        await writer.CompleteAsync(default);
        store.PutMeta(built.Meta);
        Assert.Null(store.Publish(built.Manifest.Id, built.Manifest.Encode(), default));
        using var hub = new HubConnection(HubAddress.AbsoluteUri, HubClientOptions.Default, TimeProvider.System);
        await Transfer.PushAsync(store, built.Manifest.Id, hub, null, default);
        return built.Manifest.Id;
    }

    /// <summary>Version 1 with these workloads, its farms and money computed as the offers say.</summary>
    public AgreementTerms Terms(params Workload[] workloads) => Priced(new AgreementTerms(
        1, null, User, [], Term(), new MoneyTerms(Euro, Money.Zero, [], TimeSpan.FromDays(1)), [.. workloads.OrderBy(w => w.Name, StringComparer.Ordinal)], $"{Guid.NewGuid()}"));

    public AgreementTerms Priced(AgreementTerms terms)
    {
        var farms = Farms.Where(f => f.Nodes.Any(n => terms.On(n.Id).Any())).OrderBy(f => f.Id.Value)
            .Select(f => new FarmPart(f.Id, f.Offer, [.. f.Nodes.Select(n => n.Id).Where(n => terms.On(n).Any()).OrderBy(n => n.Value)])).ToImmutableArray();
        var parts = farms.Select(f => new FarmRate(f.Farm, Farms.First(x => x.Id == f.Farm).Prices.Rate(
            terms.Placed.Where(w => f.Nodes.Contains(w.Node)).Aggregate(Capacity.None, (sum, w) => sum + w.Demand)))).ToImmutableArray();
        return terms with { Farms = farms, Money = terms.Money with { Parts = parts, RatePerSecond = parts.Aggregate(Money.Zero, (sum, p) => sum + p.Rate) } };
    }

    public static Term Term()
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        return new Term(null, null, TimeSpan.Zero, now.AddMinutes(3), now.AddMinutes(6), new Offline(TimeSpan.FromHours(1), Pause: false));
    }

    /// <summary>Sealed to a node, for the user's agreements.</summary>
    public async Task<Secret> SealAsync(StageNode node, string at, string value)
    {
        var answer = await Client.NodeAsync(node.Id, default);
        Assert.True(answer.Try(out var view, out var refusal), refusal?.ToString());
        var key = Id.Parse<PublicKey>(view.Body.GetProperty("node").GetProperty("key").GetString()!);
        return new Secret(at, SecretSeal.Seal(Encoding.UTF8.GetBytes(value), Origin, User, key, RandomNumberGenerator.GetBytes(32))!);
    }

    public Statement Proposal(AgreementTerms terms, params StageFarm[] countersigned) => Sign(User.Value, terms, ["user", .. countersigned.Select(f => f.Name)]);

    /// <summary>Signs for all, submits, and waits until the ledger says that it is in this state.</summary>
    public async Task<AgreementId> AgreeAsync(AgreementTerms terms, string until)
    {
        var recorded = await SubmitAsync(Proposal(terms, PartiesTo(terms)));
        var id = new AgreementId(recorded.Statement.Id.Value);
        await UntilAsync(id, until);
        return id;
    }

    /// <summary>Proposes the next version, signed by all.</summary>
    public async Task<AgreementTerms> AmendAsync(AgreementId id, Func<AgreementTerms, AgreementTerms> change)
    {
        var version = (await BundleAsync(id)).Agreement.Version;
        var terms = Priced(change(version.Terms with { Version = version.Terms.Version + 1, Amends = new Amends(id, version.Id), Term = Term() with { Offline = version.Terms.Term.Offline } }));
        await SubmitAsync(Proposal(terms, PartiesTo(terms)));
        return terms;
    }

    private StageFarm[] PartiesTo(AgreementTerms terms) => [.. Farms.Where(f => terms.Farms.Any(p => p.Farm == f.Id))];

    public Task<VerifiedAgreement> UntilAsync(AgreementId id, string status) => Wait.ForAsync($"{id} to be {status}", async () =>
    {
        var bundle = await BundleAsync(id);
        if (bundle.Agreement.Status == status)
            return bundle;
        if (bundle.Agreement.IsClosed)
            Assert.Fail($"{id} is {bundle.Agreement}, not {status}.\n{Logs()}");
        return null;
    }, Logs);

    public async Task<VerifiedAgreement> BundleAsync(AgreementId id)
    {
        var answer = await Client.BundleAsync(id, receipts: true, default);
        Assert.True(answer.Try(out var proven, out var refusal), refusal?.ToString());
        return proven.Verified;
    }

    /// <summary>What the node's last receipt says of a workload that runs, besides that it does.</summary>
    public Task<string> UntilReportedAsync(AgreementId id, string workload) => Wait.ForAsync($"a report of {workload}", async () =>
        (await BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<Receipt>().SelectMany(r => r.Workloads)
            .LastOrDefault(w => w.Name == workload && w is { State: WorkloadState.Running, Reason: not null })?.Reason, Logs);

    /// <summary>The tree root of what was published.</summary>
    public Digest RootOf(FlistId flist)
    {
        using var store = DirectoryStore.Open(At("built"));
        return Manifest.Decode(store.TryReadManifest(flist)!).Root;
    }

    /// <summary>What <c>grid explain</c> tells of a workload: why it is as it is now, and every step with its detail.</summary>
    public async Task<(string? Reason, string[] Steps)> ExplainAsync(AgreementId id, string workload)
    {
        var start = new ProcessStartInfo(Programs.Find("grid-cli"), ["explain", $"{id}/{workload}", "-o", "json"]) { RedirectStandardOutput = true };
        foreach (var (name, value) in new[] { ("GRID_HOME", At("home")), ("GRID_LEDGER", LedgerAddress.AbsoluteUri), ("GRID_LEDGER_KEY", $"{LedgerKey}") })
            start.Environment[name] = value;
        using var grid = Process.Start(start)!;
        using var told = JsonDocument.Parse(await grid.StandardOutput.ReadToEndAsync());
        await grid.WaitForExitAsync();
        Assert.Equal(0, grid.ExitCode);
        return (told.RootElement.GetProperty("reason").GetString(), [.. told.RootElement.GetProperty("items").EnumerateArray().Select(i => $"{i.GetProperty("what")}: {i.GetProperty("detail")}")]);
    }

    /// <summary>What the programs wrote last, for a story that fails.</summary>
    public string Logs() => string.Join("\n", System.IO.Directory.EnumerateFiles(Directory, "*.log").Order(StringComparer.Ordinal)
        .Select(f => $"--- {System.IO.Path.GetFileName(f)}\n{string.Join('\n', File.ReadLines(f).TakeLast(25))}"));

    public async ValueTask DisposeAsync()
    {
        foreach (var node in Farms.SelectMany(f => f.Nodes))
            await node.ClearAsync();
        foreach (var actor in Enumerable.Reverse(_actors))
            await actor.StopAsync();
        foreach (var launcher in _launchers.Values)
            launcher.Dispose();
        Client?.Dispose();
        foreach (var key in _keys.Values)
            key.Dispose();
        System.IO.Directory.Delete(Directory, recursive: true);
    }
}

public sealed record StageFarm(string Name, AccountId Account, FarmId Id, OfferId Offer, Prices Prices)
{
    public List<StageNode> Nodes { get; } = [];
}

/// <summary>One of the real programs.</summary>
public sealed class Actor
{
    private readonly ChildProcess _process;

    internal Actor(ChildProcess process) => (_process, Pid) = (process, process.Pid);

    /// <summary>Also once it has ended.</summary>
    public int Pid { get; }

    public async Task KillAsync()
    {
        Posix.Kill(Pid);
        await Wait.ForAsync($"process {Pid} to be gone", () => _process.HasExited);
        await _process.DisposeAsync();
    }

    public async Task StopAsync() => await _process.DisposeAsync();
}
