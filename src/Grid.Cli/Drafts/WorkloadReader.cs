using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using Grid.Addresses;
using Grid.Cli.Yaml;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Cli.Drafts;

/// <summary>
/// Reads one workload of a <c>grid.yaml</c>.
/// <code>
/// container: { node, flist: fl1…, entry: /path, args: [], env: {}, workdir: /, user: "0:0", cpu, memory, pids: 128, mounts: { /path: VOLUME },
///              scratch: { /path: SIZE }, secrets: { NAME or /path: { file | env | sealed } }, networks: { NETWORK: ADDRESS }, restart: always | on-failure | never | { policy, first: 1s, max: 1m }, logs: 1MiB (at most 64MiB),
///              health: { port, path, every: 10s, within: 2s, failures: 3 } }
/// vm:        { node, flist: fl1…, kernel: /path, initrd: /path, cmdline: "", cpu, memory, disks: { SERIAL: VOLUME }, secrets, networks: { NETWORK: ADDRESS }, restart, logs: 1MiB }
/// volume:    { node, size, media: ssd | hdd, form: files | disk, keep: 0s }
/// network:   { cidr: 10.0.0.0/24, egress: none | nat }
/// gateway:   { node, hostname, tls: terminate | passthrough, proof: domain | dns, backend: WORKLOAD:PORT, networks: { NETWORK: ADDRESS } }
/// address:   { node, ip, ports: [tcp/80, udp/53], workload }
/// </code>
/// </summary>
internal static class WorkloadReader
{
    public static DraftWorkload? Read(string name, Fields f, Named? defaultNode, Position at)
    {
        var kind = f.Scalar("kind", required: true);
        if (kind?.Text == Network.KindName)
        {
            var network = ReadNetwork(name, f);
            f.Close();
            return new DraftWorkload(network, null, at);
        }
        var nodeField = f.Scalar("node");
        var node = nodeField is null ? defaultNode : new Named(nodeField.Text, nodeField.At);
        if (node is null && !f.Broken)
            f.Fault(at, RefusalCode.MissingField, $"The workload '{name}' must say on which 'node' it runs.", "Name a node here, or one for all at the top of the file.");
        Workload? workload = kind?.Text switch
        {
            Container.KindName => ReadContainer(name, f),
            Machine.KindName => ReadMachine(name, f),
            Volume.KindName => ReadVolume(name, f),
            Gateway.KindName => ReadGateway(name, f),
            PublicAddress.KindName => ReadAddress(name, f),
            _ => null,
        };
        if (kind is not null && workload is null)
        {
            f.Fault(kind.At, RefusalCode.UnknownKind, $"The workload kind '{kind.Text}' is not known.", "Known are address, container, gateway, network, vm and volume.");
            return null;
        }
        if (workload is null)
            return null;
        var secrets = workload is Runnable ? DraftSecret.ReadAll(f) : [];
        f.Close();
        return new DraftWorkload(workload, node ?? new Named("", at), at) { Secrets = secrets };
    }

    private static Container ReadContainer(string name, Fields f)
    {
        var flist = Flist(f);
        var entry = Path(f, f.Scalar("entry", required: true), "entry");
        var args = f.Texts("args");
        var env = Pairs(f, "env", (fields, key, value) => KeyValuePair.Create(key.Text, fields.Scalar(value, key.Text)?.Text ?? ""));
        var workdir = f.Scalar("workdir") is { } w ? Path(f, w, "workdir") : "/";
        var user = f.Parsed("user", TryUser, "numeric ids as UID:GID, such as \"1000:1000\"", new ContainerUser(0, 0));
        var cpu = f.Parsed<MilliCores>("cpu", Quantities.TryCpu, Quantities.CpuForm, default, required: true);
        var memory = f.Parsed<Bytes>("memory", Quantities.TryBytes, Quantities.BytesForm, default, required: true);
        var pids = f.Integer("pids", 0, 32_768, 128);
        var mounts = Pairs(f, "mounts", (fields, key, value) => new VolumeMount(Path(fields, key, "a mount"), fields.Scalar(value, key.Text)?.Text ?? ""));
        var scratch = Pairs(f, "scratch", (fields, key, value) =>
            new Scratch(Path(fields, key, "a scratch"), fields.Parsed<Bytes>(fields.Scalar(value, key.Text), key.Text, Quantities.TryBytes, Quantities.BytesForm, default)));
        var networks = Addresses(f);
        var logs = Logs(f);
        return new Container(name, default, flist, entry, args,
            [.. env.OrderBy(e => System.Text.Encoding.UTF8.GetByteCount(e.Key)).ThenBy(e => e.Key, StringComparer.Ordinal)], workdir, user, cpu, memory, pids,
            [.. mounts.OrderBy(m => m.Path, StringComparer.Ordinal)], [.. scratch.OrderBy(s => s.Path, StringComparer.Ordinal)], Restart(f), logs, [], networks)
        {
            Health = Health(f),
        };
    }

    private static Machine ReadMachine(string name, Fields f)
    {
        var flist = Flist(f);
        var kernel = Path(f, f.Scalar("kernel", required: true), "kernel");
        var initrd = Path(f, f.Scalar("initrd", required: true), "initrd");
        var line = f.Scalar("cmdline")?.Text ?? "";
        var cpu = f.Parsed<MilliCores>("cpu", Quantities.TryCpu, Quantities.CpuForm, default, required: true);
        var memory = f.Parsed<Bytes>("memory", Quantities.TryBytes, Quantities.BytesForm, default, required: true);
        var disks = Pairs(f, "disks", (fields, key, value) => new MachineDisk(key.Text, fields.Scalar(value, key.Text)?.Text ?? ""));
        var networks = Addresses(f);
        var logs = Logs(f);
        return new Machine(name, default, flist, kernel, initrd, line, cpu, memory, [.. disks.OrderBy(d => d.Serial, StringComparer.Ordinal)], Restart(f), logs, [], networks);
    }

    private static Bytes Logs(Fields f) => f.Parsed("logs", Quantities.TryBytes, Quantities.BytesForm, Bytes.MiB(1));

    private static Volume ReadVolume(string name, Fields f)
    {
        var size = f.Parsed<Bytes>("size", Quantities.TryBytes, Quantities.BytesForm, default, required: true);
        var media = f.Parsed("media", (string text, out Media value) =>
        {
            value = text == "hdd" ? Media.Hdd : Media.Ssd;
            return text is "ssd" or "hdd";
        }, "ssd or hdd", Media.Ssd);
        var form = f.Parsed("form", (string text, out VolumeForm value) =>
        {
            value = text == "disk" ? VolumeForm.Disk : VolumeForm.Files;
            return text is "files" or "disk";
        }, "files, for containers, or disk, for a machine", VolumeForm.Files);
        var keep = f.Parsed("keep", Quantities.TryDuration, Quantities.DurationForm, TimeSpan.Zero);
        return new Volume(name, default, size, media, keep, form);
    }

    private static Gateway ReadGateway(string name, Fields f)
    {
        var hostname = f.Scalar("hostname", required: true)?.Text ?? "";
        var tls = f.Parsed("tls", (string text, out Tls value) =>
        {
            value = text == "passthrough" ? Tls.Passthrough : Tls.Terminate;
            return text is "terminate" or "passthrough";
        }, "terminate or passthrough", Tls.Terminate);
        var proof = f.Parsed("proof", (string text, out DomainProof value) =>
        {
            value = text == "dns" ? DomainProof.Dns : DomainProof.Domain;
            return text is "domain" or "dns";
        }, "domain or dns", DomainProof.Domain);
        var backend = f.Parsed("backend", TryBackend, "a workload and its port, such as web:8080", new Backend("", 0), required: true);
        return new Gateway(name, default, hostname, tls, proof, backend, Addresses(f));
    }

    private static PublicAddress ReadAddress(string name, Fields f)
    {
        var ip = f.Parsed("ip", TryAddress, "an address of the node's farm, such as 203.0.113.7", IPAddress.None, required: true);
        var ports = new SortedSet<Port>();
        var items = f.List("ports");
        foreach (var item in items)
        {
            if (f.Scalar(item, "ports") is { } scalar && f.Parsed<Port>(scalar, "ports", Port.TryParse, "a port such as tcp/443", default) is { Number: > 0 } port && !ports.Add(port))
                f.Fault(scalar.At, RefusalCode.Malformed, $"'{port}' is there twice.");
        }
        if (items.IsEmpty && f.Required("ports") is { } none)
            f.Fault(none.At, RefusalCode.Malformed, "An address has at least one port.", "Write [tcp/443].");
        if (items.Length > PublicAddress.MaximumPorts)
            f.Fault(items[0].At, RefusalCode.TooLarge, $"An address has at most {PublicAddress.MaximumPorts} ports.");
        return new PublicAddress(name, default, ip, [.. ports], f.Text("workload", required: true) ?? "");
    }

    private static bool TryBackend(string text, out Backend backend)
    {
        var parts = text.Split(':');
        var fine = parts is [{ Length: > 0 }, { Length: > 0 }] & int.TryParse(parts[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is > 0 and <= 65_535;
        backend = new Backend(parts[0], port);
        return fine;
    }

    private static ImmutableArray<NetworkAddress> Addresses(Fields f) =>
    [
        .. Pairs(f, "networks", (fields, key, value) => new NetworkAddress(key.Text,
            fields.Parsed(fields.Scalar(value, key.Text), key.Text, TryAddress, "an address of the network, such as 10.0.0.2", IPAddress.None))).OrderBy(n => n.Network, StringComparer.Ordinal),
    ];

    private static Network ReadNetwork(string name, Fields f)
    {
        var cidr = f.Parsed("cidr", (string text, out IPNetwork value) => IPNetwork.TryParse(text, out value) && value.ToString() == text,
            "a range such as 10.0.0.0/24, with no bit set below its prefix", default, required: true);
        var egress = f.Parsed("egress", (string text, out Egress value) =>
        {
            value = text == "nat" ? Egress.Nat : Egress.None;
            return text is "none" or "nat";
        }, "none or nat", Egress.None);
        return new Network(name, cidr, egress);
    }

    // The framework reads 10.1 and 0x0a000001 as addresses too; a contract is written one way.
    private static bool TryAddress(string text, out IPAddress address)
    {
        var ok = IPAddress.TryParse(text, out var parsed) && parsed.ToString() == text;
        address = parsed ?? IPAddress.None;
        return ok;
    }

    private static FlistId Flist(Fields f)
    {
        if (f.Scalar("flist", required: true) is not { } scalar || Id.TryParse<FlistId>(scalar.Text, out var id))
            return Id.TryParse<FlistId>(f.Text("flist"), out id) ? id : default;
        if (scalar.Text.StartsWith("fl1", StringComparison.Ordinal))
            f.Fault(scalar.At, RefusalCode.Malformed, $"'{scalar.Text}' is not an flist's id; a letter is missing or mistyped.", "Copy it again from 'grid flist list'.");
        else
            f.Fault(scalar.At, RefusalCode.MutableReference, $"The flist '{scalar.Text}' is a name; only an id says what the files are.",
                "Build it with 'grid flist build', or find its id with 'grid flist list', and write the fl1… here.");
        return default;
    }

    private static RestartPolicy Restart(Fields f)
    {
        var (first, max) = (TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1));
        const string Form = "always, on-failure or never";
        if (f.Node("restart") is YamlNode.Mapping mapping)
        {
            var r = Fields.Of(mapping, "'restart'", f.Faults);
            var when = r.Parsed<RestartWhen>("policy", RestartPolicy.TryParse, Form, RestartWhen.Always, required: true);
            first = r.Parsed("first", Quantities.TryDuration, Quantities.DurationForm, first);
            max = r.Parsed("max", Quantities.TryDuration, Quantities.DurationForm, max);
            r.Close();
            return new RestartPolicy(when, first, max);
        }
        return new RestartPolicy(f.Parsed<RestartWhen>("restart", RestartPolicy.TryParse, Form, RestartWhen.Always), first, max);
    }

    // Without a path it is enough that somebody listens.
    private static Health? Health(Fields f)
    {
        if (f.Node("health") is not { } node)
            return null;
        var h = Fields.Of(node, "'health'", f.Faults);
        h.Required("port");
        var port = h.Integer("port", 1, 65_535, 1);
        var path = h.Scalar("path") is { } p ? Path(h, p, "path") : null;
        var every = h.Parsed("every", Quantities.TryDuration, Quantities.DurationForm, TimeSpan.FromSeconds(10));
        var within = h.Parsed("within", Quantities.TryDuration, Quantities.DurationForm, TimeSpan.FromSeconds(long.Min(2, long.Max(1, (long)every.TotalSeconds))));
        var failures = h.Integer("failures", 1, Workloads.Health.MaximumFailures, 3);
        h.Close();
        return new Health(path, port, every, within, failures);
    }

    private static ImmutableArray<T> Pairs<T>(Fields f, string name, Func<Fields, YamlNode.Scalar, YamlNode, T> item)
    {
        if (f.Node(name) is not { } node)
            return [];
        var fields = Fields.Of(node, $"'{name}'", f.Faults);
        return [.. fields.All.Select(e => item(fields, e.Key, e.Value))];
    }

    private static string Path(Fields f, YamlNode.Scalar? scalar, string what)
    {
        if (scalar is not null && !scalar.Text.StartsWith('/'))
            f.Fault(scalar.At, RefusalCode.PathInvalid, $"'{scalar.Text}' cannot be {(what.StartsWith('a') ? what : $"'{what}'")}.", "Write the whole path, from '/'.");
        return scalar?.Text ?? "";
    }

    private static bool TryUser(string text, out ContainerUser user)
    {
        user = default;
        var parts = text.Split(':');
        if (parts.Length is not (1 or 2) || !TryId(parts[0], out var uid) || !TryId(parts[^1], out var gid))
            return false;
        user = new ContainerUser(uid, gid);
        return true;
    }

    private static bool TryId(string text, out int id) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out id) && id <= 65_534;
}
