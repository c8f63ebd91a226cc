using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Machines;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Cli.Tests;

/// <summary>One file of <c>tests/vectors/refusals</c>.</summary>
internal sealed class RefusalVector(JsonNode vector)
{
    private static readonly RestartPolicy Restart = new(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1));

    public static IEnumerable<RefusalVector> All([CallerFilePath] string here = "") =>
        Directory.GetFiles(Path.Combine(Path.GetDirectoryName(here)!, "..", "vectors", "refusals"), "*.json").Order(StringComparer.Ordinal).Select(f => new RefusalVector(JsonNode.Parse(File.ReadAllText(f))!));

    public string Name => Text("name");

    public string Code => Text("code");

    public string Rules => Text("rules");

    public byte[] Payload => Convert.FromHexString(Text("payload"));

    public AgreementTerms Terms => (AgreementTerms)Statements.Payload.Decode(Payload).Body;

    public AgreementTerms Before => (AgreementTerms)Statements.Payload.Decode(Convert.FromHexString(Text("before"))).Body;

    /// <summary>Signed by all, to be said to a ledger that has recorded <c>recorded/log.json</c>.</summary>
    public Statement Statement => Statements.Statement.Decode(Convert.FromHexString(Text("statement")));

    /// <summary>Who of draft, ledger and node cannot refuse it.</summary>
    public IReadOnlyCollection<string> Unasked => vector["unasked"] is { } unasked ? [.. unasked.AsObject().Select(u => u.Key)] : [];

    public string? Domain => vector["domain"]?.GetValue<string>();

    /// <summary>Makes the tree of a closure of real files.</summary>
    /// <returns>false when real files cannot be so: as large as nothing is, or with a chunk that nobody has</returns>
    public bool Plant(string root)
    {
        var entries = vector["tree"]!.AsArray().Select(e => e!).ToList();
        if (Name is "closure-size-untrue" || entries.Any(e => e["withheld"] is not null))
            return false;
        Directory.CreateDirectory(root);
        foreach (var entry in entries)
        {
            var path = root + entry["path"]!.GetValue<string>();
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            if (entry["target"] is { } target)
                File.CreateSymbolicLink(path, target.GetValue<string>());
            else if (entry["hex"] is { } hex)
                Write(path, Convert.FromHexString(hex.GetValue<string>()), entry);
            else
                Directory.CreateDirectory(path);
        }
        return true;
    }

    /// <summary>What starts from the tree of a closure, and the volumes that it mounts.</summary>
    public IEnumerable<Workload> Starts(NodeId node, FlistId flist, Func<string, Secret> seal)
    {
        if (vector["vm"] is { } vm)
        {
            yield return new Machine("web", node, flist, vm["kernel"]!.GetValue<string>(), vm["initrd"]!.GetValue<string>(), "", new MilliCores(100),
                new Bytes(vm["memory"]!.GetValue<long>()), [], Restart, Bytes.MiB(1), [], []);
            yield break;
        }
        var container = vector["container"]!;
        string[] Texts(string member) => [.. container[member]!.AsArray().Select(t => t!.GetValue<string>())];
        var mounts = Texts("volumes").Select((path, i) => new VolumeMount(path, $"data-{i}")).ToImmutableArray();
        foreach (var mount in mounts)
            yield return new Volume(mount.Volume, node, Volume.Smallest, Media.Ssd, TimeSpan.Zero);
        yield return new Container("web", node, flist, container["entry"]!.GetValue<string>(), [],
            [.. container["env"]!.AsObject().Select(v => KeyValuePair.Create(v.Key, v.Value!.GetValue<string>()))], container["workdir"]!.GetValue<string>(), new ContainerUser(1000, 1000),
            new MilliCores(100), Bytes.MiB(32), 16, mounts, [.. Texts("scratch").Select(p => new Scratch(p, Bytes.MiB(1)))], Restart, Bytes.MiB(1), [.. Texts("secrets").Select(seal)], []);
    }

    private static void Write(string path, byte[] bytes, JsonNode entry)
    {
        using (var file = File.Create(path))
        {
            file.Write(bytes);
            file.SetLength(entry["size"]?.GetValue<long>() ?? bytes.Length);
        }
        File.SetUnixFileMode(path, (UnixFileMode)Convert.ToInt32(entry["mode"]!.GetValue<string>(), 8));
    }

    private string Text(string member) => vector[member]!.GetValue<string>();
}
