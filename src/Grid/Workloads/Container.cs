using System.Collections.Immutable;
using Grid.Networks;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;

namespace Grid.Workloads;

/// <summary>A process tree whose files are one flist, read-only, described down to the byte.</summary>
/// <param name="Flist">the id of the manifest; a name or tag is refused</param>
/// <param name="Entry">absolute path in the flist of the file that is executed; it becomes argv[0]</param>
/// <param name="Args">argv[1] and on</param>
/// <param name="Environment">sorted canonically; nothing is added at run time</param>
/// <param name="Cpu">a hard limit, not a share</param>
/// <param name="Memory">a hard limit; exceeding it ends this workload alone</param>
/// <param name="Pids">how many processes and threads it may have</param>
/// <param name="Mounts">volumes, sorted by path</param>
/// <param name="Scratch">tmpfs, sorted by path; counted within <paramref name="Memory"/></param>
/// <param name="Logs">how much of stdout and stderr is kept, at most <see cref="Runnable.MostLogs"/></param>
/// <param name="Secrets">variables and files that only its node can open, sorted by where they are; files count within <paramref name="Memory"/></param>
/// <param name="Networks">its addresses, sorted by network; without any it has loopback only</param>
public sealed record Container(
    string Name, NodeId Node, FlistId Flist, string Entry, ImmutableArray<string> Args,
    ImmutableArray<KeyValuePair<string, string>> Environment, string WorkDir, ContainerUser User,
    MilliCores Cpu, Bytes Memory, int Pids, ImmutableArray<VolumeMount> Mounts, ImmutableArray<Scratch> Scratch,
    RestartPolicy Restart, Bytes Logs, ImmutableArray<Secret> Secrets, ImmutableArray<NetworkAddress> Networks) : Runnable(Name, Node, Flist, Restart, Secrets, Networks)
{
    public const string KindName = "container";
    public const int MaximumPath = 4095;

    /// <summary>How it is asked whether it does its work; null when it is not.</summary>
    public Health? Health { get; init; }

    public override string Kind => KindName;

    public override Capacity Demand => Capacity.None with { Cpu = Cpu, Memory = Memory };

    public override IEnumerable<string> Volumes => Mounts.Select(m => m.Volume);

    /// <summary>What is mounted over the flist at the agreement's wish. What the flist has there is covered, and what is there then is not described.</summary>
    public IEnumerable<(string Field, string Path)> MountPoints =>
        Mounts.Select(m => ("mounts", m.Path)).Concat(Scratch.Select(s => ("scratch", s.Path))).Concat(Secret.Directories(Secrets).Select(d => ("secrets", d)));

    /// <summary>
    /// <code>
    /// container = { "cpu": millicores, "env": {* text => text}, "args": [*1000 text], "kind": "container", "logs": bytes, "name": text,
    ///               "node": node-id, "pids": 1..32768, "user": {"gid": uint, "uid": uint}, "entry": path, "flist": flist-id,
    ///               "health": health / null, "memory": bytes, "mounts": [*64 {"path": path, "volume": text}], "restart": restart,
    ///               "scratch": [*64 {"path": path, "size": bytes}], "secrets": [*64 {"at": text, "sealed": bytes}], "workdir": path,
    ///               "networks": [*16 {"address": address, "network": text}] }
    /// restart   = { "max": seconds, "first": seconds, "policy": "always" / "on-failure" / "never" }
    /// </code>
    /// </summary>
    public override void Write(CanonicalWriter w) => w.Map(19, m =>
    {
        m.Key("cpu").UInt(Cpu.Value);
        m.Key("env").TextMap(Environment);
        m.Key("args").Array(Args, (a, t) => a.Text(t));
        m.Key("kind").Text(KindName);
        m.Key("logs").UInt(Logs.Value);
        m.Key("name").Text(Name);
        m.Key("node").Id(Node);
        m.Key("pids").UInt(Pids);
        m.Key("user").Map(2, u =>
        {
            u.Key("gid").UInt(User.Gid);
            u.Key("uid").UInt(User.Uid);
        });
        m.Key("entry").Text(Entry);
        m.Key("flist").Id(Flist);
        Health.Write(m.Key("health"), Health);
        m.Key("memory").UInt(Memory.Value);
        m.Key("mounts").Array(Mounts, (a, x) => a.Map(2, i =>
        {
            i.Key("path").Text(x.Path);
            i.Key("volume").Text(x.Volume);
        }));
        m.Key("restart");
        Restart.Write(m);
        m.Key("scratch").Array(Scratch, (a, x) => a.Map(2, i =>
        {
            i.Key("path").Text(x.Path);
            i.Key("size").UInt(x.Size.Value);
        }));
        m.Key("secrets").Array(Secrets, (a, x) => x.Write(a));
        m.Key("workdir").Text(WorkDir);
        m.Key("networks").Array(Networks, (a, x) => x.Write(a));
    });

    internal static Container Read(CanonicalReader r) => r.Map(m =>
    {
        const long Limit = 1_000_000_000_000_000;
        var cpu = new MilliCores(m.Field("cpu").UInt(1_000_000_000));
        var environment = m.Field("env").TextMap(1000, 1024, 32_768);
        var args = m.Field("args").Array(1000, a => a.Text(32_768));
        m.Field("kind").Text(16);
        var logs = new Bytes(m.Field("logs").UInt(Limit));
        var name = m.Field("name").Text(64);
        var node = m.Field("node").Id<NodeId>();
        var pids = (int)m.Field("pids").UInt(32_768);
        var user = m.Field("user").Map(u =>
        {
            var gid = (int)u.Field("gid").UInt(65_534);
            return new ContainerUser((int)u.Field("uid").UInt(65_534), gid);
        });
        var entry = m.Field("entry").Text(MaximumPath);
        var flist = ReadFlist(m);
        var health = Health.Read(m.Field("health"));
        var memory = new Bytes(m.Field("memory").UInt(Limit));
        var mounts = m.Field("mounts").Set(64, a => a.Map(i =>
        {
            var path = i.Field("path").Text(MaximumPath);
            return new VolumeMount(path, i.Field("volume").Text(64));
        }), (a, b) => CanonicalReader.Order(a.Path, b.Path));
        var restart = RestartPolicy.Read(m.Field("restart"));
        var scratch = m.Field("scratch").Set(64, a => a.Map(i =>
        {
            var path = i.Field("path").Text(MaximumPath);
            return new Scratch(path, new Bytes(i.Field("size").UInt(Limit)));
        }), (a, b) => CanonicalReader.Order(a.Path, b.Path));
        var secrets = Secret.ReadAll(m.Field("secrets"));
        var workdir = m.Field("workdir").Text(MaximumPath);
        var networks = m.Field("networks").Set(16, NetworkAddress.Read, (a, b) => CanonicalReader.Order(a.Network, b.Network));
        return new Container(name, node, flist, entry, args, environment, workdir, user, cpu, memory, pids, mounts, scratch, restart, logs, secrets, networks) { Health = health };
    });

    public bool Equals(Container? other) => other is not null && CanonicalWriter.Encode(Write).AsSpan().SequenceEqual(CanonicalWriter.Encode(other.Write));

    public override int GetHashCode() => HashCode.Combine(Name, Node, Flist, Entry);
}

/// <summary>Numeric ids inside the container's own user namespace.</summary>
public readonly record struct ContainerUser(int Uid, int Gid);

/// <param name="Volume">the name of a volume workload on the same node</param>
public sealed record VolumeMount(string Path, string Volume);

public sealed record Scratch(string Path, Bytes Size);

public enum RestartWhen
{
    Always,
    OnFailure,
    Never,
}

/// <summary>When an ended process is started again. The wait doubles from <see cref="First"/> to <see cref="Max"/>.</summary>
public sealed record RestartPolicy(RestartWhen When, TimeSpan First, TimeSpan Max)
{
    public string Name => When switch
    {
        RestartWhen.Always => "always",
        RestartWhen.OnFailure => "on-failure",
        _ => "never",
    };

    public static bool TryParse(string text, out RestartWhen when)
    {
        when = text switch
        {
            "always" => RestartWhen.Always,
            "on-failure" => RestartWhen.OnFailure,
            _ => RestartWhen.Never,
        };
        return text is "always" or "on-failure" or "never";
    }

    internal void Write(CanonicalWriter w) => w.Map(3, x =>
    {
        x.Key("max").Seconds(Max);
        x.Key("first").Seconds(First);
        x.Key("policy").Text(Name);
    });

    internal static RestartPolicy Read(CanonicalReader r) => r.Map(m =>
    {
        var max = m.Field("max").Seconds();
        var first = m.Field("first").Seconds();
        var policy = m.Field("policy").Text(16);
        return TryParse(policy, out var when)
            ? new RestartPolicy(when, first, max)
            : throw CanonicalReader.Malformed($"A restart policy is always, on-failure or never, not '{policy}'.");
    });
}
