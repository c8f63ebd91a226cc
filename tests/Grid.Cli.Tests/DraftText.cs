using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Cli.Drafts;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Cli.Tests;

/// <summary>Terms as their author would have written them, but for who takes part and the price, which the tool finds. JSON is YAML too, and can say any text.</summary>
internal static class DraftText
{
    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="written">when the terms were: their times are said as counted from it, but for those that were over</param>
    /// <param name="farms">under whose offers; null leaves that to the tool</param>
    public static string Of(string name, AgreementTerms terms, DateTimeOffset written, Func<NodeId, string> node, IEnumerable<FarmPart>? farms = null)
    {
        var term = terms.Term;
        string After(DateTimeOffset time) => time < written ? time.Text() : $"+{Quantities.Text(time - written)}";
        var says = new JsonObject
        {
            ["answerBy"] = After(term.AnswerBy),
            ["convergeBy"] = After(term.ConvergeBy),
            ["notice"] = Quantities.Text(term.Notice),
            ["offline"] = new JsonObject { ["after"] = Quantities.Text(term.Offline.After), ["then"] = term.Offline.Pause ? "pause" : "keep" },
        };
        if (term.Start is { } start)
            says["start"] = After(start);
        if (term.End is { } end)
            says["until"] = After(end);
        return Of(name, terms.Workloads, node, says, farms);
    }

    public static string Of(string name, IEnumerable<Workload> workloads, Func<NodeId, string> node, JsonObject? term = null, IEnumerable<FarmPart>? farms = null)
    {
        var draft = new JsonObject { ["name"] = name };
        if (farms is not null)
            draft["offers"] = Map(farms.Select(f => ($"{f.Farm}", (JsonNode)$"{f.Offer}")));
        if (term is not null)
            draft["term"] = term;
        draft["workloads"] = new JsonObject(workloads.Select(w => KeyValuePair.Create(w.Name, (JsonNode?)Of(w, node))));
        return draft.ToJsonString(Options);
    }

    private static JsonObject Of(Workload workload, Func<NodeId, string> node)
    {
        JsonObject said = workload switch
        {
            Container c => Container(c),
            Machine m => new()
            {
                ["kernel"] = m.Kernel,
                ["initrd"] = m.Initrd,
                ["cmdline"] = m.CommandLine,
                ["disks"] = Map(m.Disks.Select(d => (d.Serial, (JsonNode)d.Volume))),
            },
            Volume v => new() { ["size"] = $"{v.Size.Value}B", ["media"] = v.Media is Media.Hdd ? "hdd" : "ssd", ["form"] = v.Form is VolumeForm.Disk ? "disk" : "files", ["keep"] = Quantities.Text(v.Keep) },
            Network n => new() { ["cidr"] = $"{n.Cidr}", ["egress"] = n.Egress is Egress.Nat ? "nat" : "none" },
            Gateway g => new()
            {
                ["hostname"] = g.Hostname,
                ["tls"] = g.Tls is Tls.Passthrough ? "passthrough" : "terminate",
                ["proof"] = g.Proof is DomainProof.Dns ? "dns" : "domain",
                ["backend"] = $"{g.Backend.Workload}:{g.Backend.Port}",
            },
            PublicAddress a => new() { ["ip"] = $"{a.Ip}", ["ports"] = new JsonArray([.. a.Ports.Select(p => (JsonNode)$"{p}")]), ["workload"] = a.Workload },
            _ => throw new System.Diagnostics.UnreachableException(workload.Kind),
        };
        said["kind"] = workload.Kind;
        if (workload is Placed placed)
            said["node"] = node(placed.Node);
        if (workload is Placed { Networks.IsEmpty: false } member)
            said["networks"] = Map(member.Networks.Select(a => (a.Network, (JsonNode)$"{a.Address}")));
        if (workload is Runnable runs)
            Running(runs, said);
        return said;
    }

    private static JsonObject Container(Container c)
    {
        var said = new JsonObject
        {
            ["entry"] = c.Entry,
            ["args"] = new JsonArray([.. c.Args.Select(a => (JsonNode)a)]),
            ["env"] = Map(c.Environment.Select(e => (e.Key, (JsonNode)e.Value))),
            ["workdir"] = c.WorkDir,
            ["user"] = $"{c.User.Uid}:{c.User.Gid}",
            ["pids"] = c.Pids,
            ["mounts"] = Map(c.Mounts.Select(m => (m.Path, (JsonNode)m.Volume))),
            ["scratch"] = Map(c.Scratch.Select(s => (s.Path, (JsonNode)$"{s.Size.Value}B"))),
        };
        if (c.Health is { } h)
        {
            said["health"] = new JsonObject { ["port"] = h.Port, ["every"] = Quantities.Text(h.Every), ["within"] = Quantities.Text(h.Within), ["failures"] = h.Failures };
            if (h.Path is not null)
                said["health"]!["path"] = h.Path;
        }
        return said;
    }

    private static void Running(Runnable runs, JsonObject said)
    {
        said["flist"] = $"{runs.Flist}";
        said["cpu"] = $"{(runs as Container)?.Cpu.Value ?? ((Machine)runs).Cpu.Value}m";
        said["memory"] = $"{(runs as Container)?.Memory.Value ?? ((Machine)runs).Memory.Value}B";
        said["logs"] = $"{runs.Logs.Value}B";
        said["restart"] = new JsonObject { ["policy"] = "always", ["first"] = Quantities.Text(runs.Restart.First), ["max"] = Quantities.Text(runs.Restart.Max) };
        said["secrets"] = Map(runs.Secrets.Select(s => (s.At, (JsonNode)new JsonObject { ["sealed"] = Convert.ToBase64String(s.Sealed.Span) })));
    }

    private static JsonObject Map(IEnumerable<(string Key, JsonNode Value)> pairs) => new(pairs.Select(p => KeyValuePair.Create(p.Key, (JsonNode?)p.Value)));
}
