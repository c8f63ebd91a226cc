namespace Grid.Cli.Up;

/// <summary>
/// The programs of a grid of one's own: a ledger on its own PostgreSQL, a hub, and a node once it is invited. All on loopback, on free ports, below
/// one directory that is removed at the end.
/// </summary>
internal sealed class PrivateGrid : IAsyncDisposable
{
    public const string Origin = "grid.local/up";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly List<ChildProcess> _children = [];
    private ChildProcess? _node;

    private PrivateGrid(string directory) => Directory = directory;

    public string Directory { get; }

    public string Ledger { get; private set; } = "";

    public string Hub { get; private set; } = "";

    /// <summary>The home of the keys, address book and configuration of user and farmer.</summary>
    public string Home => At("home");

    public string NodeData => At("node");

    private string NodeRun => $"/run/{Path.GetFileName(Directory)}";

    public static async Task<PrivateGrid> StartAsync(Action<string> say, CancellationToken cancel)
    {
        var grid = new PrivateGrid(Path.Combine(Path.GetTempPath(), $"grid-up-{Environment.ProcessId}"));
        try
        {
            // PostgreSQL runs as a user of its own and has to pass through; what must not be read lies in private directories below.
            System.IO.Directory.CreateDirectory(grid.Directory);
            File.SetUnixFileMode(grid.Directory, (UnixFileMode)0b111_001_001);
            System.IO.Directory.CreateDirectory(grid.Home, (UnixFileMode)0b111_000_000);
            say("Starting the hub and the ledger …");
            grid.Hub = await grid.AddAsync("grid-hub", cancel, "--listen", "http://127.0.0.1:0", "--store", grid.At("hub"));
            grid.Ledger = await grid.AddAsync("grid-ledger", cancel,
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

    /// <summary>Starts the node with its farmer's invite, and waits until it has joined and reported.</summary>
    /// <returns>node1…</returns>
    public async Task<string> StartNodeAsync(string invite, string ledgerKey, CancellationToken cancel)
    {
        var id = await AddAsync("grid-node", cancel,
            "--ledger", Ledger, "--origin", Origin, "--ledger-key", ledgerKey, "--hub", Hub, "--data", NodeData, "--run", NodeRun, "--cgroup", Path.GetFileName(Directory),
            "--invite", invite);
        _node = _children[^1];
        return id;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var child in Enumerable.Reverse(_children))
            await child.DisposeAsync();
        if (_node is not null && System.IO.Directory.Exists(NodeRun))
            System.IO.Directory.Delete(NodeRun, recursive: true);
        if (System.IO.Directory.Exists(Directory))
            System.IO.Directory.Delete(Directory, recursive: true);
    }

    private async Task<string> AddAsync(string name, CancellationToken cancel, params string[] arguments)
    {
        var (child, ready) = await ChildProcess.StartAsync(name, At($"{name}.log"), Patience, cancel, arguments);
        _children.Add(child);
        return ready;
    }
}
