using System.Net;

namespace Grid.Cli.Up;

/// <summary>
/// The programs of a grid of one's own: a ledger on its own PostgreSQL, a hub, and nodes once they are invited. All on loopback, on free ports, below
/// one directory that is removed at the end.
/// </summary>
internal sealed class PrivateGrid : IAsyncDisposable
{
    public const string Origin = "grid.local/up";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly List<IAsyncDisposable> _children = [];
    private readonly Place _place;

    private PrivateGrid(Place place)
    {
        _place = place;
        Launcher = new Launcher(place.Stand);
    }

    public string Directory => _place.Directory;

    public Launcher Launcher { get; }

    public string Ledger { get; private set; } = "";

    public string Hub { get; private set; } = "";

    /// <summary>The home of the keys, address book and configuration of user and farmer.</summary>
    public string Home => At("home");

    /// <param name="directory">see <see cref="Place.TakeAsync"/></param>
    public static async Task<PrivateGrid> StartAsync(string? directory, Action<string> say, CancellationToken cancel)
    {
        var grid = new PrivateGrid(await Place.TakeAsync(directory, say));
        try
        {
            System.IO.Directory.CreateDirectory(grid.Home, (UnixFileMode)0b111_000_000);
            say("Starting the hub and the ledger …");
            grid.Hub = await grid.AddAsync("grid-hub", "hub", cancel, "--listen", "http://127.0.0.1:0", "--store", grid.At("hub"));
            grid.Ledger = await grid.AddAsync("grid-ledger", "ledger", cancel,
                "--data", grid.At("ledger"), "--origin", Origin, "--key", grid.At("ledger.key"), "--listen", "http://127.0.0.1:0", "--hub", grid.Hub);
            return grid;
        }
        catch
        {
            await grid.DisposeAsync();
            throw;
        }
    }

    public string At(string name) => Path.Combine(Directory, name);

    /// <summary>Where the node of this name keeps its things, whether or not it runs.</summary>
    public NodePlace Node(string name) => _place.Node(name);

    /// <summary>Starts a node with its farmer's invite, and waits until it has joined and reported.</summary>
    /// <param name="options">what else it is told</param>
    /// <returns>node1…</returns>
    public async Task<string> StartNodeAsync(string name, string invite, string ledgerKey, IEnumerable<string> options, CancellationToken cancel)
    {
        var at = Node(name);
        System.IO.Directory.CreateDirectory(System.IO.Path.GetDirectoryName(at.Data)!, (UnixFileMode)0b111_000_000);
        return await AddAsync("grid-node", $"node.{name}", cancel,
        [
            "--ledger", Ledger, "--origin", Origin, "--ledger-key", ledgerKey, "--hub", Hub, "--data", at.Data, "--run", at.Run, "--cgroup", at.Cgroup,
            "--invite", invite, "--underlay", "127.0.0.1", .. options]);
    }

    /// <param name="challenges">where the node with the gateway answers for its names</param>
    public async Task<Authority> StartAuthorityAsync(IPEndPoint challenges, CancellationToken cancel)
    {
        var authority = await Authority.StartAsync(Launcher, At("authority"), challenges, cancel);
        _children.Add(authority);
        return authority;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var child in Enumerable.Reverse(_children))
            await child.DisposeAsync();
        Launcher.Dispose();
        await _place.DisposeAsync();
    }

    private async Task<string> AddAsync(string program, string log, CancellationToken cancel, params string[] arguments)
    {
        var (child, ready) = await ChildProcess.StartAsync(Launcher, Path.Combine(AppContext.BaseDirectory, program), At($"{log}.log"), Patience, cancel, arguments);
        _children.Add(child);
        return ready;
    }
}
