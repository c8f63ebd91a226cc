using System.Globalization;
using System.Text.Json.Nodes;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Cli.Drafts;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Offers;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Cli.Commands;

/// <summary>What was signed, as a document with people's units. Names are stable.</summary>
internal static class Describe
{
    public static JsonObject Offer(OfferId id, PostOffer terms) => new()
    {
        ["id"] = id.ToString(),
        ["farm"] = terms.Farm.ToString(),
        ["nodes"] = Render.Texts(terms.Nodes.Select(n => n.ToString())),
        ["kinds"] = Render.Texts(terms.Kinds),
        ["currency"] = new JsonObject { ["code"] = terms.Currency.Code, ["decimals"] = terms.Currency.Decimals },
        ["prices"] = new JsonObject
        {
            ["cpu"] = terms.Prices.Cpu,
            ["memory"] = terms.Prices.Memory,
            ["ssd"] = terms.Prices.Ssd,
            ["hdd"] = terms.Prices.Hdd,
            ["ipv4"] = terms.Prices.PublicIPv4,
        },
        ["ceiling"] = Capacity(terms.Ceiling),
        ["notice"] = Quantities.Text(terms.Notice),
        ["expires"] = Render.Time(terms.Expires),
    };

    public static JsonObject Terms(AgreementTerms terms) => new()
    {
        ["version"] = terms.Version,
        ["amends"] = terms.Amends?.Digest.ToString(),
        ["user"] = terms.User.ToString(),
        ["note"] = terms.Note,
        ["farms"] = Render.Array(terms.Farms.Select(f => new JsonObject
        {
            ["farm"] = f.Farm.ToString(),
            ["offer"] = f.Offer.ToString(),
            ["nodes"] = Render.Texts(f.Nodes.Select(n => n.ToString())),
            ["ratePerSecond"] = terms.Money.Parts.FirstOrDefault(p => p.Farm == f.Farm)?.Rate.ToString(),
        })),
        ["term"] = new JsonObject
        {
            ["start"] = Render.Time(terms.Term.Start),
            ["until"] = Render.Time(terms.Term.End),
            ["notice"] = Quantities.Text(terms.Term.Notice),
            ["answerBy"] = Render.Time(terms.Term.AnswerBy),
            ["convergeBy"] = Render.Time(terms.Term.ConvergeBy),
            ["offline"] = new JsonObject { ["after"] = Quantities.Text(terms.Term.Offline.After), ["then"] = terms.Term.Offline.Pause ? "pause" : "keep" },
        },
        ["money"] = Money(terms.Money),
        ["workloads"] = new JsonObject(terms.Workloads.Select(w => KeyValuePair.Create(w.Name, (JsonNode?)Workload(w)))),
    };

    public static JsonObject Used(Consumption used) => new()
    {
        ["cpuMillis"] = used.CpuMillis,
        ["memoryMibSeconds"] = used.MemoryMibSeconds,
        ["diskBytes"] = used.Disk.Value,
        ["sentBytes"] = used.Sent.Value,
        ["receivedBytes"] = used.Received.Value,
    };

    public static string UsedLine(Consumption used) => used == Consumption.None ? "-" : string.Join(", ", new[]
    {
        string.Create(CultureInfo.InvariantCulture, $"{used.CpuMillis / 1000.0:0.###} s of processor"),
        string.Create(CultureInfo.InvariantCulture, $"{used.MemoryMibSeconds / 1024.0 / 3600:0.####} GiB-hours of memory"),
        used.Disk == Bytes.Zero ? null : $"{used.Disk} of disk",
        used.Sent == Bytes.Zero && used.Received == Bytes.Zero ? null : $"{used.Sent} sent and {used.Received} received",
    }.Where(t => t is not null));

    public static JsonObject Workload(Workload workload) => workload switch
    {
        Container c => new JsonObject
        {
            ["kind"] = c.Kind,
            ["node"] = c.Node.ToString(),
            ["flist"] = c.Flist.ToString(),
            ["entry"] = c.Entry,
            ["args"] = Render.Texts(c.Args),
            ["env"] = new JsonObject(c.Environment.Select(e => KeyValuePair.Create(e.Key, (JsonNode?)e.Value))),
            ["workdir"] = c.WorkDir,
            ["user"] = $"{c.User.Uid}:{c.User.Gid}",
            ["cpu"] = c.Cpu.ToString(),
            ["memory"] = c.Memory.ToString(),
            ["pids"] = c.Pids,
            ["mounts"] = new JsonObject(c.Mounts.Select(m => KeyValuePair.Create(m.Path, (JsonNode?)m.Volume))),
            ["scratch"] = new JsonObject(c.Scratch.Select(s => KeyValuePair.Create(s.Path, (JsonNode?)s.Size.ToString()))),
            ["restart"] = Restart(c.Restart),
            ["health"] = Health(c.Health),
            ["secrets"] = Secrets(c),
            ["logs"] = c.Logs.ToString(),
            ["networks"] = Networks(c),
        },
        Machine m => new JsonObject
        {
            ["kind"] = m.Kind,
            ["node"] = m.Node.ToString(),
            ["flist"] = m.Flist.ToString(),
            ["kernel"] = m.Kernel,
            ["initrd"] = m.Initrd,
            ["cmdline"] = m.CommandLine,
            ["cpu"] = m.Cpu.ToString(),
            ["memory"] = m.Memory.ToString(),
            ["disks"] = new JsonObject(m.Disks.Select(d => KeyValuePair.Create(d.Serial, (JsonNode?)d.Volume))),
            ["secrets"] = Secrets(m),
            ["restart"] = Restart(m.Restart),
            ["logs"] = m.Logs.ToString(),
            ["networks"] = Networks(m),
        },
        Volume v => new JsonObject
        {
            ["kind"] = v.Kind,
            ["node"] = v.Node.ToString(),
            ["size"] = v.Size.ToString(),
            ["media"] = v.Media == Media.Ssd ? "ssd" : "hdd",
            ["form"] = v.Form == VolumeForm.Disk ? "disk" : "files",
            ["keep"] = Quantities.Text(v.Keep),
        },
        Gateway g => new JsonObject
        {
            ["kind"] = g.Kind,
            ["node"] = g.Node.ToString(),
            ["hostname"] = g.Hostname,
            ["tls"] = g.Tls is Tls.Terminate ? "terminate" : "passthrough",
            ["proof"] = g.Proof is DomainProof.Domain ? "domain" : "dns",
            ["backend"] = $"{g.Backend.Workload}:{g.Backend.Port}",
            ["networks"] = Networks(g),
        },
        PublicAddress a => new JsonObject
        {
            ["kind"] = a.Kind,
            ["node"] = a.Node.ToString(),
            ["ip"] = a.Ip.ToString(),
            ["ports"] = Render.Texts(a.Ports.Select(p => p.ToString())),
            ["workload"] = a.Workload,
        },
        Network n => new JsonObject { ["kind"] = n.Kind, ["cidr"] = n.Cidr.ToString(), ["egress"] = n.Egress is Egress.Nat ? "nat" : "none" },
        _ => throw new System.Diagnostics.UnreachableException(workload.Kind),
    };

    // What is sealed says nothing to a reader but whether it is the same as before.
    private static JsonObject Secrets(Runnable workload) => new(workload.Secrets.Select(s => KeyValuePair.Create(s.At, (JsonNode?)$"sealed, {Digest.Of(s.Sealed.Span).ToString()[..16]}")));

    private static JsonObject Networks(Placed workload) => new(workload.Networks.Select(a => KeyValuePair.Create(a.Network, (JsonNode?)a.Address.ToString())));

    private static JsonObject Restart(RestartPolicy policy) =>
        new() { ["policy"] = policy.Name, ["first"] = Quantities.Text(policy.First), ["max"] = Quantities.Text(policy.Max) };

    private static JsonObject? Health(Health? health) => health is null ? null : new()
    {
        ["port"] = health.Port,
        ["path"] = health.Path,
        ["every"] = Quantities.Text(health.Every),
        ["within"] = Quantities.Text(health.Within),
        ["failures"] = health.Failures,
    };

    private static JsonObject Money(MoneyTerms money)
    {
        var price = Render.Price(money.RatePerSecond, money.Currency);
        price["grace"] = Quantities.Text(money.Grace);
        return price;
    }

    private static JsonObject Capacity(Capacity c) => new()
    {
        ["cpu"] = c.Cpu.ToString(),
        ["memory"] = c.Memory.ToString(),
        ["ssd"] = c.Ssd.ToString(),
        ["hdd"] = c.Hdd.ToString(),
        ["ipv4"] = c.PublicIPv4,
    };
}
