using Grid.Flists;
using Grid.Flists.Build;
using Grid.Flists.Hub;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Hub.Tests;

/// <summary>A small tree with files of every size that matters, built into a local store; all it made is gone at the end.</summary>
public sealed class Scene : IAsyncDisposable
{
    public static readonly HubClientOptions Quick = new(TimeSpan.FromSeconds(5), 64 << 10, 2, TimeSpan.FromMilliseconds(5));

    private readonly string _scratch;
    private readonly List<IAsyncDisposable> _open = [];

    private Scene(string scratch, BuiltFlist built, DirectoryStore local)
    {
        (_scratch, Built, Local) = (scratch, built, local);
    }

    public BuiltFlist Built { get; }

    public DirectoryStore Local { get; }

    public MetaFile Meta => Built.Meta;

    public FlistId Id => Built.Manifest.Id;

    public string this[string name] => Path.Combine(_scratch, name);

    public IEnumerable<int> Files => Enumerable.Range(0, Meta.Count).Where(i => Meta[i].Type == EntryType.File);

    public static async Task<Scene> MakeAsync(int seed = 1, bool large = true)
    {
        var scratch = Directory.CreateTempSubdirectory("grid-hub-").FullName;
        var tree = Path.Combine(scratch, "tree");
        WriteTree(tree, seed, large);
        var store = DirectoryStore.Open(Path.Combine(scratch, "local"));
        await using var writer = new PackWriter(store);
        var built = await FlistBuilder.BuildAsync(new DirectorySource(tree), BuildOptions.Default, writer, default);
        await writer.CompleteAsync(default);
        store.PutMeta(built.Meta);
        Assert.Null(store.Publish(built.Manifest.Id, built.Manifest.Encode(), default));
        return new Scene(scratch, built, store);
    }

    public async Task<HubServer> HubAsync(string name = "hub", Func<HubOptions, HubOptions>? change = null)
    {
        var options = new HubOptions { Store = this[name], Listen = "http://127.0.0.1:0" };
        var hub = await HubServer.StartAsync(change?.Invoke(options) ?? options);
        _open.Add(hub);
        return hub;
    }

    /// <summary>A hub that holds the flist.</summary>
    public async Task<HubServer> FilledHubAsync(string name = "hub")
    {
        var hub = await HubAsync(name);
        using var client = Client(hub.Address);
        await Transfer.PushAsync(Local, Id, client.Hubs[0], null, default);
        return hub;
    }

    public async Task<LyingServer> LiarAsync(string honest)
    {
        var liar = await LyingServer.StartAsync(honest);
        _open.Add(liar);
        return liar;
    }

    public static HubClient Client(params string[] addresses) => new(addresses, Quick);

    /// <summary>The bytes of a file as the tree on disk has them.</summary>
    public byte[] Expected(int inode)
    {
        var path = "";
        for (var at = inode; at != 0; at = Meta[at].Parent)
            path = Path.Combine(System.Text.Encoding.UTF8.GetString(Meta.Name(at)), path);
        return File.ReadAllBytes(Path.Combine(this["tree"], path.TrimEnd('/')));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var open in Enumerable.Reverse(_open))
            await open.DisposeAsync();
        Local.Dispose();
        Directory.Delete(_scratch, recursive: true);
    }

    private static void WriteTree(string tree, int seed, bool large)
    {
        Directory.CreateDirectory(Path.Combine(tree, "usr", "lib"));
        var random = new Random(seed);
        int[] sizes = large ? [0, 1, 100, 4096, 65_536, 65_537, 262_143, 262_144, 262_145, 1_000_000, 3_500_000] : [0, 1, 100, 900, 70_000, 300_000];
        foreach (var size in sizes)
        {
            var bytes = new byte[size];
            random.NextBytes(bytes);
            // The first half compresses, the second does not.
            for (var i = 0; i < size / 2; i++)
                bytes[i] &= 3;
            File.WriteAllBytes(Path.Combine(tree, "usr", "lib", $"file-{size}"), bytes);
        }
        for (var i = 0; i < (large ? 60 : 5); i++)
            File.WriteAllText(Path.Combine(tree, $"small-{i}"), $"{seed} {string.Concat(Enumerable.Repeat($"line {i}\n", i * 7))}");
        File.WriteAllBytes(Path.Combine(tree, "zeros"), new byte[large ? 600_000 : 262_144]);
    }
}
