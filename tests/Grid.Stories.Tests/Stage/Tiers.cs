using System.Globalization;
using System.Net;
using Grid.Agreements;
using Grid.Cli.Up;
using Grid.Cli.Up.Examples;
using Grid.Gateways;
using Grid.Networks;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests.Stage;

/// <summary>The tiers of the example that the README shows: PostgreSQL from Debian's packages on a volume, an application that counts its visits in it, and the gateway to it.</summary>
internal sealed class Tiers
{
    public const string Domain = "gw.example", Hostname = "shop.gw.example", Database = "database", Application = "application", Door = "door";

    private readonly Stage _stage;
    private FlistId _database;

    private Tiers(Stage stage) => _stage = stage;

    private string Root => _stage.At("roots/application");

    /// <summary>Builds the files, and lays down the database's.</summary>
    public static async Task<Tiers> MakeAsync(Stage stage)
    {
        var tiers = new Tiers(stage);
        using var launcher = new Launcher(stage.Directory);
        await Task.WhenAll(
            ThreeTierRoots.MakeDatabaseAsync(launcher, stage.At("roots/database"), default),
            ThreeTierRoots.MakeApplicationAsync(launcher, tiers.Root, default));
        tiers._database = await stage.PublishAsync(stage.At("roots/database"));
        return tiers;
    }

    /// <summary>One file differs between versions.</summary>
    public Task<FlistId> ApplicationAsync(int version)
    {
        ThreeTierRoots.WriteApplication(Root, version);
        return _stage.PublishAsync(Root);
    }

    public async Task<AgreementTerms> TermsAsync(StageNode database, StageNode application, StageNode door)
    {
        const string Password = "what only the two of them know";
        var flist = await ApplicationAsync(1);
        return _stage.Terms(
            // With a way out, so that there are rules and links on every node, which have to go too.
            new Network("net", IPNetwork.Parse("10.43.0.0/24"), Egress.Nat),
            new Volume("data", database.Id, Bytes.MiB(256), Media.Ssd, TimeSpan.Zero),
            Run(Database, database, _database, ThreeTierRoots.DatabaseEntry, 2, 5432, "-c", "listen_addresses=10.43.0.2") with
            {
                Memory = Bytes.MiB(256),
                Mounts = [new VolumeMount("/data", "data")],
                Secrets = [await _stage.SealAsync(database, "/run/secrets/password", Password)],
            },
            Run(Application, application, flist, ThreeTierRoots.ApplicationEntry, 3, ThreeTierRoots.Port, ThreeTierRoots.ApplicationProgram) with
            {
                Environment = [new("DATABASE", "10.43.0.2")],
                Secrets = [await _stage.SealAsync(application, "PGPASSWORD", Password)],
            },
            Leading(Door, door, Hostname, DomainProof.Domain, 4));
    }

    public static Gateway Leading(string name, StageNode node, string hostname, DomainProof proof, byte host) =>
        new(name, node.Id, hostname, Tls.Terminate, proof, new Backend(Application, ThreeTierRoots.Port), [At(host)]);

    /// <summary>Asks until this version of the application answers by the name.</summary>
    /// <returns>how many rows of visits the database has</returns>
    public async Task<int> VisitAsync(OutsideWorld world, int version)
    {
        var page = await Wait.ForAsync($"the page of version {version}", async () =>
            await TryAsync(world) is { } page && page.Contains($"by version {version} ", StringComparison.Ordinal) ? page : null, _stage.Logs);
        var visit = int.Parse(page.Split(' ', ',')[1], CultureInfo.InvariantCulture);
        Assert.Equal(ThreeTierRoots.Page(visit, version), page);
        return visit;
    }

    /// <returns>what the name leads to; null when nobody answers well</returns>
    public static async Task<string?> TryAsync(OutsideWorld world)
    {
        try
        {
            using var http = world.Client(HttpVersion.Version20);
            return await http.GetStringAsync(new Uri($"https://{Hostname}/"));
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private static Container Run(string name, StageNode node, FlistId flist, string entry, byte host, int port, params string[] args) =>
        Trees.Run(name, node.Id, flist, args) with
        {
            Entry = entry,
            Cpu = new MilliCores(500),
            Memory = Bytes.MiB(128),
            Pids = 64,
            Scratch = [new Scratch("/tmp", Bytes.MiB(16))],
            Networks = [At(host)],
            Health = new Workloads.Health(null, port, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), 10),
        };

    private static NetworkAddress At(byte host) => new("net", new IPAddress([10, 43, 0, host]));
}
