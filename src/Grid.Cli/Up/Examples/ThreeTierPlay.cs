using System.Net;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Grid.Cli.Up.Examples;

/// <summary>
/// A database on a volume, an application and a gateway as one agreement over three nodes of two farms, on one private network. Then the
/// application is replaced by amendment, and nothing else is touched.
/// </summary>
internal sealed class ThreeTierPlay(PrivateGrid grid, Prompt prompt) : Play(grid, prompt)
{
    private const string Prices = """
        currency: { code: EUR, decimals: 9 }
        kinds: [container, network, volume, gateway]
        prices: { cpu: 3, memory: 1000, ssd: 10 }
        ceiling: { cpu: 2, memory: 2GiB, ssd: 4GiB }
        notice: 0s
        expires: +30d

        """;

    private static readonly Farmer North = new("north", "north-farm", Prices), South = new("south", "south-farm", Prices);

    private const string Hostname = "shop.north.example";

    /// <summary>Beside the draft. It leaves this machine sealed to the two nodes.</summary>
    private const string Password = "password";

    private static readonly (string Node, string Workload)[] Containers = [("north-1", "database"), ("south-1", "application")];

    // The gateway's: where challenges are answered, and where the world comes in.
    private readonly IPEndPoint _plain = Authority.Free(), _secure = Authority.Free();
    private Authority? _authority;
    private readonly JsonObject _flists = [];
    private string _plan = "";

    private string Application => Grid.At("roots/application");

    protected override string Agreement => "shop";

    protected override IReadOnlyList<Farmer> Farmers => [North, South];

    protected override IReadOnlyList<(string Node, Farmer Farmer)> Nodes => [("north-1", North), ("north-2", North), ("south-1", South)];

    protected override string Done => "Done: agreed, ran over three nodes, amended, proven, cancelled, gone.";

    protected override IEnumerable<string> ToTry =>
        ["grid status --watch", "grid explain shop/application", "grid logs shop/database", "grid agreement history shop", "grid agreement show shop"];

    protected override IEnumerable<(string Stage, Func<Task> Run)> Acts() =>
    [
        ("roots", RootsAsync),
        ("flists", FlistsAsync),
        ("plan", async () => _plan = await PlanAsync()),
        ("agree", () => AgreeAsync(_plan)),
        ("run", () => RunningAsync(_plan)),
        ("page", async () => Result["page"] = await PageAsync(version: 1)),
        ("amend", AmendAsync),
        ("amended page", async () => Result["amendedPage"] = await PageAsync(version: 2)),
        ("verify", VerifyAsync),
    ];

    protected override async Task GoneAsync()
    {
        await Prompt.UntilAsync("the name to lead nowhere", async () => await FetchAsync() is null);
        foreach (var workload in new[] { "database", "application", "data", "door" })
            await Prompt.UntilAsync($"the last receipt of {workload}", async () => (string?)(await Prompt.AskAsync("explain", $"{Agreement}/{workload}"))["state"] == "gone");
        Prompt.Say("Gone, on every node: the name, processes, tunnels, the volume and its key; the last receipts say so.");
    }

    protected override async Task<IReadOnlyList<string>> OptionsAsync(string node)
    {
        if (node != "north-2")
            return [];
        Prompt.Say("Starting a certificate authority of this grid's own, for the gateway …");
        _authority = await Grid.StartAuthorityAsync(_plain, Prompt.Cancel);
        return ["--gateway-http", $"{_plain}", "--gateway-https", $"{_secure}", "--gateway-domain", "north.example", "--acme", _authority.Directory.AbsoluteUri, "--acme-root", _authority.RootFile];
    }

    private async Task RootsAsync()
    {
        Prompt.Say("Making root file systems from Debian's packages: PostgreSQL, and Python with an application …");
        await ThreeTierRoots.MakeDatabaseAsync(Grid.Launcher, Grid.At("roots/database"), Prompt.Cancel);
        await ThreeTierRoots.MakeApplicationAsync(Grid.Launcher, Application, Prompt.Cancel);
        await using var password = new StreamWriter(Grid.At(Password), new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        await password.WriteLineAsync(RandomNumberGenerator.GetHexString(32));
    }

    private async Task FlistsAsync()
    {
        Result["flists"] = _flists;
        _flists["database"] = await PublishAsync(Grid.At("roots/database"));
        await ApplicationAsync(version: 1);
    }

    // One file differs between versions: the hub already has all the others.
    private async Task ApplicationAsync(int version)
    {
        ThreeTierRoots.WriteApplication(Application, version);
        _flists[$"application-{version}"] = await PublishAsync(Application);
        await File.WriteAllTextAsync(Grid.At("grid.yaml"), GridYaml((string)_flists["database"]!, (string)_flists[$"application-{version}"]!));
    }

    private async Task AmendAsync()
    {
        var before = Containers.ToDictionary(c => c.Workload, c => Pid(c.Node, c.Workload) ?? throw new UpFault($"The node '{c.Node}' shows no process of '{c.Workload}'."));
        await ApplicationAsync(version: 2);
        var plan = await PlanAsync();
        await AgreeAsync(plan);
        await RunningAsync(plan);
        await Prompt.UntilAsync("the new application", () => Task.FromResult(Pid("south-1", "application") is { } pid && pid != before["application"]));
        if (Pid("north-1", "database") != before["database"])
            throw new UpFault("The database was restarted by an amendment that does not touch it.");
        Prompt.Say($"The application was replaced; the database is still process {before["database"]}.");
        Result["databaseKept"] = true;
    }

    private async Task<string> PageAsync(int version)
    {
        string? page = null;
        await Prompt.UntilAsync($"https://{Hostname} to answer", async () => (page = await FetchAsync()) is not null);
        if (page != ThreeTierRoots.Page(version, version))
            throw new UpFault($"The page is not the one that was agreed: '{page}'.");
        Prompt.Say($"https://{Hostname}/, by the gateway on {_secure}: {page!.Trim()}");
        return page;
    }

    private Task<string?> FetchAsync() => _authority!.TryGetAsync(Hostname, _secure, Prompt.Cancel);

    private static string GridYaml(string database, string application) => $$"""
        name: shop
        term:
          until: +24h
          answerBy: +5m
          convergeBy: +10m
        workloads:
          net:
            kind: network
            cidr: 10.43.0.0/24
          data:
            kind: volume
            node: north-1
            size: 512MiB
          database:
            kind: container
            node: north-1
            flist: {{database}}
            entry: {{ThreeTierRoots.DatabaseEntry}}
            args: ["-c", "listen_addresses=10.43.0.2"]
            user: "1000:1000"
            cpu: 0.5
            memory: 256MiB
            mounts: { /data: data }
            secrets: { /run/secrets/password: { file: {{Password}} } }
            health: { port: 5432 }
            scratch: { /tmp: 16MiB }
            networks: { net: 10.43.0.2 }
          application:
            kind: container
            node: south-1
            flist: {{application}}
            entry: {{ThreeTierRoots.ApplicationEntry}}
            args: ["{{ThreeTierRoots.ApplicationProgram}}"]
            env: { DATABASE: 10.43.0.2 }
            secrets: { PGPASSWORD: { file: {{Password}} } }
            health: { port: {{ThreeTierRoots.Port}} }
            user: "1000:1000"
            cpu: 0.5
            memory: 128MiB
            scratch: { /tmp: 16MiB }
            networks: { net: 10.43.0.3 }
          door:
            kind: gateway
            node: north-2
            hostname: {{Hostname}}
            backend: application:{{ThreeTierRoots.Port}}
            networks: { net: 10.43.0.4 }

        """;
}
