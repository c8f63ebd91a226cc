using System.Diagnostics;
using System.Text;
using Grid.Flists.Cache;
using Grid.Flists.Hub;
using Grid.Units;

namespace Grid.Flists.Mount.Tests;

/// <summary>Who answers what is asked of a mount.</summary>
public enum Engine
{
    /// <summary>Engine F.</summary>
    Daemon,

    /// <summary>Engine K.</summary>
    Kernel,
}

/// <summary>A temporary directory with an flist (<see cref="StoredFlist"/>), a mount point, and the tree itself as plain files to compare with.</summary>
internal sealed class TestFlist : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Dictionary<FileNode, byte[]> _contents = [];

    public TestFlist()
    {
        if (Posix.GetUid() != 0)
            Assert.Skip("mounting needs root");
        if (!File.Exists("/dev/fuse"))
            Assert.Skip("/dev/fuse is missing");
        Home = Directory.CreateTempSubdirectory("grid-mount-").FullName;
        foreach (var name in (string[])["objects", "mnt", "plain"])
            Directory.CreateDirectory(Path.Combine(Home, name));
    }

    public string Home { get; }

    public string Mountpoint => Path.Combine(Home, "mnt");

    public string Plain => Path.Combine(Home, "plain");

    public string LogPath => Path.Combine(Home, "log");

    public DirectoryNode Root { get; } = Directory_(0);

    public MetaFile Meta { get; private set; } = null!;

    public static DirectoryNode Directory_(long mtime, ushort mode = 0x1ED) => new(new Attributes(mode, 0, 0, mtime, XattrSet.Empty));

    public FileNode File_(byte[] content, ushort mode = 0x1A4, uint uid = 0, uint gid = 0, long mtime = 0, XattrSet? xattrs = null)
    {
        var node = new FileNode(new Attributes(mode, uid, gid, mtime, xattrs ?? XattrSet.Empty))
        {
            Size = content.Length,
            Chunks = [.. content.Chunk(Chunk.Size).Select(c => Chunk.Hash(c))],
        };
        _contents[node] = content;
        return node;
    }

    public FileNode Add(string name, byte[] content, ushort mode = 0x1A4)
    {
        var file = File_(content, mode);
        Root.Set(Encoding.UTF8.GetBytes(name), file);
        return file;
    }

    public byte[] ContentOf(FileNode file) => _contents[file];

    public int Inode(string path) => Meta.Resolve(Encoding.UTF8.GetBytes(path), out _);

    public string Object(string path) => StoredFlist.ObjectPath(Home, Inode(path));

    public string At(string path) => Path.Combine(Mountpoint, path);

    /// <summary>Writes the meta file and one object per file; sparse files are made by the caller.</summary>
    public void Store(bool lazy)
    {
        Meta = MetaFileWriter.Write(Root);
        File.WriteAllBytes(Path.Combine(Home, "meta"), Meta.Bytes.ToArray());
        File.WriteAllText(Path.Combine(Home, "root"), Meta.Root.ToString());
        var stored = new HashSet<FileNode>();
        var inode = 0;
        foreach (var (node, _, _) in MetaFileWriter.InOrder(Root))
        {
            if (node is FileNode file && stored.Add(file) && _contents.TryGetValue(file, out var content))
                File.WriteAllBytes(StoredFlist.ObjectPath(Home, inode), content);
            inode++;
        }
        Switch("lazy", lazy);
    }

    public void Switch(string name, bool on)
    {
        if (on)
            File.WriteAllText(Path.Combine(Home, name), "");
        else
            File.Delete(Path.Combine(Home, name));
    }

    public Task<MountedFlist> MountAsync(Engine engine, bool lazy = true) => engine == Engine.Kernel ? MountComposedAsync() : MountAsync(lazy);

    public async Task<MountedFlist> MountAsync(bool lazy)
    {
        Store(lazy);
        var outcome = await FlistMount.StartAsync(Spec, Patience, TestContext.Current.CancellationToken);
        return outcome is MountOutcome.Mounted(var mounted) ? mounted : throw new InvalidOperationException($"{outcome}\n{Log()}");
    }

    /// <summary>
    /// Mounts it by the kernel alone: lays a cache out as another boot would have left it, and lets a daemon prove it and make the image.
    /// </summary>
    public async Task<MountedFlist> MountComposedAsync()
    {
        Store(lazy: false);
        Lay(Meta);
        foreach (var (file, content) in _contents)
            Put(ObjectOf(file), content);
        using (var hub = new HubClient(CachedSpec.Hubs.Select(h => h.AbsoluteUri)))
        await using (var cache = FlistCache.Open(CacheDirectory, hub))
            Assert.SkipUnless(ComposedMount.IsPossible(cache), "this kernel mounts no EROFS from a file (Linux 6.12)");
        Assert.False((await MountCachedAsync()).IsComposed);
        Assert.True(await Eventually(HasImage), Log());
        await UnmountAsync();
        var mounted = await MountCachedAsync();
        Assert.True(mounted.IsComposed);
        return mounted;
    }

    /// <summary>Mounts it by a daemon, of a cache that another boot left, before there is an image.</summary>
    public async Task MountServedAsync()
    {
        await MountComposedAsync();
        await UnmountAsync();
        File.Delete(Image);
        Assert.False((await MountCachedAsync()).IsComposed);
    }

    public async Task<MountedFlist> MountCachedAsync()
    {
        var outcome = await FlistMount.StartAsync(CachedSpec, Patience, TestContext.Current.CancellationToken);
        return outcome is MountOutcome.Mounted(var mounted) ? mounted : throw new InvalidOperationException($"{outcome}\n{Log()}");
    }

    /// <summary>Nobody has it open, and it goes; a process that another test is starting has copies of all that was open, until it is executed.</summary>
    public static async Task UnmountedAsync(string mountpoint) => Assert.True(await Eventually(() => FlistMount.Stop(mountpoint)));

    public async Task UnmountAsync()
    {
        FlistMount.Stop(Mountpoint, detach: true);
        Assert.True(await Eventually(() => Processes("flist-mount-").Length == 0));
    }

    public string CacheDirectory => Path.Combine(Home, "cache");

    public string ObjectOf(FileNode file)
    {
        var name = ContentId.Of(file.Size, file.Chunks).ToString();
        return Path.Combine(CacheDirectory, "objects", name[..2], name);
    }

    public string Image => Path.Combine(CacheDirectory, "images", WholeFlist.NameOf(CachedSpec.Flist, Meta.Root));

    /// <summary>Whether there is an image that was made in this boot.</summary>
    public bool HasImage() => WholeFlist.TryFind(CacheDirectory, CachedSpec.Flist) is not null;

    /// <summary>Of the flist as a hub has it, whose hub is not there.</summary>
    public MountSpec CachedSpec => Spec with { Flist = Manifest.Of(Meta, "", StartDefaults.None, []).Id, CacheDirectory = CacheDirectory, Hubs = [new Uri("http://127.0.0.1:1")] };

    public MountSpec Spec => new(new FlistId(Meta.Root), Mountpoint, Home, [], LogPath);

    public string Log() => File.Exists(LogPath) ? File.ReadAllText(LogPath) : "";

    /// <summary>The processes of its mounts: those whose command line names its directory and the verb.</summary>
    public int[] Processes(string verb) => [.. Directory.EnumerateDirectories("/proc")
        .Select(d => int.TryParse(Path.GetFileName(d), out var pid) ? pid : 0)
        .Where(pid => pid > 0 && CommandLine(pid) is var line && line.Contains(verb) && line.Contains(Home))];

    /// <summary>Polls a condition until it holds or half a minute has passed.</summary>
    public static async Task<bool> Eventually(Func<bool> condition)
    {
        var start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
                return false;
            await Task.Delay(1);
        }
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        while (FlistMount.Find(Mountpoint) is not null)
            FlistMount.Stop(Mountpoint, detach: true);
        await Eventually(() => Processes("flist-mount-").Length == 0);
        foreach (var left in Processes("flist-mount-"))
            Process.GetProcessById(left).Kill();
        // Directory.Delete knows only names that are text.
        await Tools.ShellAsync("/", $"rm -rf --one-file-system {Home}");
    }

    /// <summary>Lays a tree into the cache, without the files' bytes.</summary>
    public FlistId Lay(MetaFile meta)
    {
        var manifest = Manifest.Of(meta, "", StartDefaults.None, []);
        Put(Path.Combine(CacheDirectory, "manifests", manifest.Id.ToString()), manifest.Encode());
        Put(Path.Combine(CacheDirectory, "meta", meta.Root.ToString()), meta.Bytes.ToArray());
        return manifest.Id;
    }

    private static void Put(string path, byte[] bytes)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
    }

    private static string CommandLine(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline");
        }
        catch (IOException)
        {
            return "";
        }
    }
}
