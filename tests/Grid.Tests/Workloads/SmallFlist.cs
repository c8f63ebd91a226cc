using System.Collections.Immutable;
using System.Text;
using Grid.Flists;
using Grid.Machines;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Workloads;

/// <summary>A tree written down in a test, with its chunks, and the container that starts it.</summary>
public sealed class SmallFlist
{
    private static readonly Entry Empty = new(null, null, 0b111_101_101);

    // What every container is mounted over.
    private readonly SortedDictionary<string, Entry> _entries = new(StringComparer.Ordinal) { ["/dev"] = Empty, ["/proc"] = Empty, ["/sys"] = Empty };

    public Dictionary<Digest, ReadOnlyMemory<byte>> Chunks { get; } = [];

    public Container Container { get; set; } = TestGrid.Container("web", new NodeId(Digest.Of("node"u8))) with
    {
        Entry = "/bin/app",
        Environment = [],
        Scratch = [],
        Mounts = [],
    };

    /// <summary>What boots from it instead of the container, if anything does.</summary>
    public Machine? Machine { get; private set; }

    public IEnumerable<KeyValuePair<string, Entry>> Entries => _entries;

    public SmallFlist Add(string path, Entry entry)
    {
        _entries[path] = entry;
        return this;
    }

    public SmallFlist File(string path, byte[] bytes, int mode = 0b111_101_101) => Add(path, new Entry(bytes, null, (ushort)mode));

    public SmallFlist File(string path, string text, int mode = 0b111_101_101) => File(path, Encoding.UTF8.GetBytes(text), mode);

    public SmallFlist File(string path, ElfBuilder elf) => File(path, elf.Build());

    public SmallFlist Link(string path, string target) => Add(path, new Entry(null, target, 0b111_111_111));

    public SmallFlist Directory(string path) => Add(path, new Entry(null, null, 0b111_101_101));

    /// <summary>Nothing at all, not even what a container is mounted over.</summary>
    public static SmallFlist Bare()
    {
        var flist = new SmallFlist();
        flist._entries.Clear();
        return flist;
    }

    public SmallFlist Without(string path)
    {
        var copy = Bare();
        copy.Container = Container;
        foreach (var (key, value) in _entries.Where(e => e.Key != path))
            copy._entries.Add(key, value);
        return copy;
    }

    public SmallFlist With(Func<Container, Container> change)
    {
        Container = change(Container);
        return this;
    }

    public SmallFlist Boots(string kernel, string initrd, Bytes memory)
    {
        Machine = new Machine("vm", Container.Node, Container.Flist, kernel, initrd, "", new MilliCores(1000), memory, [], Container.Restart, Bytes.MiB(1), [], []);
        return this;
    }

    public SmallFlist Environment(params (string Key, string Value)[] variables) =>
        With(c => c with { Environment = [.. variables.Select(v => KeyValuePair.Create(v.Key, v.Value))] });

    public SmallFlist Volume(string path) => On(path).With(c => c with { Mounts = [new VolumeMount(path, "data")] });

    // Unless a link or a file is in the way.
    private SmallFlist On(string path) => _entries.Any(e => e.Value != Empty && (path + "/").StartsWith(e.Key + "/", StringComparison.Ordinal)) ? this : Directory(path);

    public SmallFlist Scratch(string path) => On(path).With(c => c with { Scratch = [new Scratch(path, Bytes.MiB(1))] });

    public MetaFile Build()
    {
        Chunks.Clear();
        var root = new DirectoryNode(At(0b111_101_101));
        foreach (var (path, entry) in _entries)
        {
            var directory = root;
            var parts = path[1..].Split('/');
            foreach (var part in parts[..^1])
                directory = Enter(directory, part);
            TreeNode? node = entry.Bytes is not null ? FileOf(entry) : entry.Target is not null ? new SymlinkNode(At(entry.Mode), Encoding.Latin1.GetBytes(entry.Target)) : null;
            if (node is null)
                Enter(directory, parts[^1]);
            else
                directory.Set(Encoding.UTF8.GetBytes(parts[^1]), node);
        }
        return MetaFileWriter.Write(root);
    }

    public Examination Examine(ClosureLimits? limits = null)
    {
        var meta = Build();
        return Closure.Examine((Runnable?)Machine ?? Container, meta, hash => Chunks.TryGetValue(hash, out var chunk) ? chunk : default(ReadOnlyMemory<byte>?), limits);
    }

    public void Holds(params string[] files) => Assert.Equal(files.Order(StringComparer.Ordinal), Complete());

    public ImmutableArray<string> Complete() => Examine() switch
    {
        Examination.Complete complete => complete.Files,
        Examination.Refused refused => throw new Xunit.Sdk.XunitException(string.Join('\n', refused.Refusals)),
        _ => throw new Xunit.Sdk.XunitException("without a verdict"),
    };

    public Refusal Refused(string code)
    {
        var refusals = Assert.IsType<Examination.Refused>(Examine()).Refusals;
        return Assert.Single(refusals, r => r.Code == code);
    }

    private static DirectoryNode Enter(DirectoryNode directory, string name)
    {
        var raw = Encoding.UTF8.GetBytes(name);
        if (directory.Find(raw) is DirectoryNode known)
            return known;
        var made = new DirectoryNode(At(0b111_101_101));
        directory.Set(raw, made);
        return made;
    }

    private FileNode FileOf(Entry entry)
    {
        var (bytes, hashes) = (entry.Bytes!, new List<Digest>());
        if (entry.Size > Chunk.Size)
            Array.Resize(ref bytes, (int)entry.Size);
        for (var at = 0; at < bytes.Length; at += Chunk.Size)
        {
            var chunk = bytes.AsMemory(at, int.Min(Chunk.Size, bytes.Length - at));
            hashes.Add(Chunk.Hash(chunk.Span));
            if (!entry.Withheld)
                Chunks[hashes[^1]] = chunk;
        }
        return new FileNode(At(entry.Mode)) { Size = entry.Size ?? bytes.Length, Chunks = [.. hashes] };
    }

    private static Attributes At(ushort mode) => new(mode, 0, 0, 0, XattrSet.Empty);

    /// <param name="Bytes">of a file; null for what is none</param>
    /// <param name="Target">of a symbolic link; neither is a directory</param>
    /// <param name="Size">what the metadata says, where that is not true; of more than a chunk it is, by zeros that are not written down</param>
    /// <param name="Withheld">whether the chunks cannot be had</param>
    public sealed record Entry(byte[]? Bytes, string? Target, ushort Mode, long? Size = null, bool Withheld = false);
}
