using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grid.Agreements;
using Grid.Gateways;
using Grid.Secrets;
using Grid.Statements;
using Grid.Tests.World;
using Grid.Workloads;
using Grid.World;

namespace Grid.Tests.Workloads;

/// <summary>
/// <c>tests/vectors/refusals</c>: one file for each case, for every implementation of the static rules. GRID_WRITE_VECTORS=1 writes them anew.
/// </summary>
public sealed partial class RefusalVectors
{
    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static string Folder { get; } = Path.Combine(Vectors.Folder, "refusals");

    [Fact]
    public void Writing_the_cases_again_changes_nothing()
    {
        var files = RefusalCases.All().ToDictionary(c => $"{c.Name}.json", c => Write(c).ToJsonString(Options) + "\n");
        var recorded = WriteRecorded().ToJsonString(Options) + "\n";
        if (Vectors.Write)
        {
            foreach (var (name, text) in files)
                Vectors.Save($"refusals/{name}", text);
            Vectors.Save("refusals/recorded/log.json", recorded);
        }
        Assert.Equal(recorded, File.ReadAllText(Path.Combine(Folder, "recorded", "log.json")));
        Assert.Equal(files.Keys.Order(StringComparer.Ordinal), Directory.GetFiles(Folder).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        Assert.All(files, f => Assert.Equal(f.Value, File.ReadAllText(Path.Combine(Folder, f.Key))));
    }

    [Fact]
    public void What_the_cases_are_changed_from_is_not_refused()
    {
        Assert.Empty(AgreementRules.Check(RefusalCases.Good));
        Assert.Equal(RefusalCases.Good, Payload.Decode(RefusalCases.Encode(RefusalCases.Good)).Body);
    }

    [Fact]
    public void Every_case_is_refused_with_its_code() => Assert.All(
        Cases().Where(c => Text(c, "rules") is not ("ready" or "standing")), c => Assert.Equal($"{Text(c, "name")}: {Text(c, "code")}", $"{Text(c, "name")}: {string.Join(", ", Refuse(c))}"));

    [Theory]
    [InlineData("terms,amendment", "src/Grid/Agreements/AgreementRules.cs")]
    [InlineData("terms", "src/Grid/Machines/MachineRules.cs")]
    [InlineData("terms", "src/Grid/Networks/NetworkRules.cs")]
    [InlineData("terms,domain", "src/Grid/Gateways/GatewayRules.cs")]
    [InlineData("terms", "src/Grid/Secrets/SecretRules.cs")]
    [InlineData("terms", "src/Grid/Addresses/AddressRules.cs")]
    [InlineData("terms", "src/Grid/Workloads/HealthRules.cs")]
    [InlineData("standing", "src/Grid/Agreements/Agreeable.cs")]
    [InlineData("standing", "src/Grid/Agreements/Taken.cs")]
    [InlineData("closure", "src/Grid/Workloads/Closure")]
    [InlineData("closure", "src/Grid/Machines/BootFiles.cs")]
    public void Every_code_of_the_rules_has_a_case(string rules, string source)
    {
        var path = Path.Combine(Vectors.Folder, "..", "..", source);
        var sources = Directory.Exists(path) ? Directory.GetFiles(path, "*.cs") : [path];
        var codes = sources.SelectMany(f => CodeName().Matches(File.ReadAllText(f))).Select(m => m.Groups[1].Value).Distinct()
            .Select(name => (string)typeof(RefusalCode).GetField(name)!.GetValue(null)!);
        var covered = Cases().Where(c => rules.Split(',').Contains(Text(c, "rules"))).Select(c => Text(c, "code")).ToHashSet();
        Assert.All(codes, code => Assert.Contains(code, covered));
    }

    [Fact]
    public void The_ledger_refuses_each_case_with_its_code()
    {
        using var ledger = new RefusingLedger();
        Assert.All(Cases().Where(c => Text(c, "rules") is "terms" or "amendment" or "ready" or "domain"), c => Assert.Equal(
            $"{Text(c, "name")}: {Text(c, "code")}",
            $"{Text(c, "name")}: {ledger.Decide(Payload.Decode(Hex(c, "payload")), c["before"] is null ? null : Read(c, "before"), c["earlier"] is null ? null : (WorkloadReady)Payload.Decode(Hex(c, "earlier")).Body, c["domain"]?.GetValue<string>())}"));
    }

    [Fact]
    public void The_ledger_refuses_each_case_for_what_is_recorded_with_its_code()
    {
        using var recorded = RecordedGrid.Read();
        Assert.IsType<Decision.Accepted>(recorded.State.Decide(recorded.Accepted, recorded.Now));
        Assert.All(Cases().Where(c => Text(c, "rules") is "standing"), c =>
        {
            var statement = Statement.Decode(Hex(c, "statement"));
            Assert.Null(statement.VerifySignatures());
            Assert.Equal((Text(c, "name"), c["unasked"]?["ledger"] is null ? Text(c, "code") : null), (Text(c, "name"), (recorded.State.Decide(statement, recorded.Now) as Decision.Refused)?.Refusal.Code));
        });
    }

    [Fact]
    public void What_cannot_be_read_is_refused_by_the_ledger_and_in_a_bundle_with_its_code()
    {
        using var grid = new TestGrid();
        var id = grid.Run(grid.Terms(grid.Farms[0].Nodes[0].Id)).Id;
        string? Verified(byte[]? unread) => grid.Bundle(id, unread: unread).Verify(TestGrid.Origin, grid.Key("ledger").Public, out _)?.Code;
        Assert.Null(Verified(null));
        Assert.All(Cases().Where(c => Text(c, "rules") is "reader"), c =>
        {
            var signed = Envelope.Sign(Hex(c, "payload"), "user");
            var read = Assert.Throws<StatementFormatException>(() => Statement.Decode(signed)).Code;
            Assert.Equal((Text(c, "name"), Text(c, "code"), Text(c, "code")), (Text(c, "name"), read, Verified(signed)));
        });
    }

    private static IEnumerable<JsonNode> Cases() => Directory.GetFiles(Folder).Order(StringComparer.Ordinal).Select(f => JsonNode.Parse(File.ReadAllText(f))!);

    private static IEnumerable<string> Refuse(JsonNode c)
    {
        IEnumerable<Refusal> refusals = Text(c, "rules") switch
        {
            "terms" => AgreementRules.Check(Read(c, "payload")),
            "amendment" => AgreementRules.CheckAmendment(Read(c, "before"), Read(c, "payload")),
            "domain" => Read(c, "payload").Gateways.Select(g => GatewayRules.CheckDomain(g, c["domain"]?.GetValue<string>())).OfType<Refusal>(),
            "reader" => [new Refusal(Assert.Throws<StatementFormatException>(() => Read(c, "payload")).Code, "")],
            _ => FlistOf(c).Examine() is Examination.Refused refused ? refused.Refusals : [],
        };
        return refusals.Select(r => r.Code).Distinct();
    }

    private static JsonObject Write(RefusalCase c)
    {
        var node = new JsonObject { ["name"] = c.Name, ["code"] = c.Code, ["describes"] = c.Describes, ["rules"] = c.Rules };
        if (c.Before is not null)
            node["before"] = Convert.ToHexStringLower(c.Before);
        if (c.Payload is not null)
            node["payload"] = Convert.ToHexStringLower(c.Payload);
        if (c.Earlier is not null)
            node["earlier"] = Convert.ToHexStringLower(c.Earlier);
        if (c.Domain is not null)
            node["domain"] = c.Domain;
        if (c.Statement is not null)
            node["statement"] = Convert.ToHexStringLower(c.Statement);
        if (!c.Unasked.IsEmpty)
            node["unasked"] = new JsonObject(c.Unasked.Select(u => KeyValuePair.Create(u.Whom, (JsonNode?)u.Why)));
        if (c.Flist is { } flist)
        {
            if (flist.Machine is { } machine)
                node["vm"] = new JsonObject { ["kernel"] = machine.Kernel, ["initrd"] = machine.Initrd, ["memory"] = machine.Memory.Value };
            else
                node["container"] = Container(flist.Container);
            node["tree"] = new JsonArray([.. flist.Entries.Select(Entry)]);
        }
        return node;
    }

    private static JsonObject WriteRecorded()
    {
        using var cases = RefusalCases.Recorded();
        var (grid, accepted) = (cases.Grid, cases.Grid.SignedByUser(cases.Web, "alpha"));
        return new JsonObject
        {
            ["origin"] = TestGrid.Origin,
            ["seed"] = Convert.ToHexStringLower(SHA256.HashData("ledger"u8)),
            ["now"] = grid.Now.ToUnixTimeSeconds(),
            ["accepted"] = Convert.ToHexStringLower(accepted.Bytes.Span),
            ["entries"] = new JsonArray([.. grid.Recorded.Select(e => (JsonNode)Convert.ToHexStringLower(e.Bytes.Span))]),
        };
    }

    private static JsonObject Container(Container c) => new()
    {
        ["entry"] = c.Entry,
        ["workdir"] = c.WorkDir,
        ["env"] = new JsonObject(c.Environment.Select(v => KeyValuePair.Create(v.Key, (JsonNode?)v.Value))),
        ["volumes"] = new JsonArray([.. c.Mounts.Select(m => (JsonNode)m.Path)]),
        ["scratch"] = new JsonArray([.. c.Scratch.Select(s => (JsonNode)s.Path)]),
        ["secrets"] = new JsonArray([.. c.Secrets.Select(s => (JsonNode)s.At)]),
    };

    private static JsonNode Entry(KeyValuePair<string, SmallFlist.Entry> entry)
    {
        var (path, e) = entry;
        var node = new JsonObject { ["path"] = path };
        if (e.Target is not null)
            node["target"] = e.Target;
        if (e.Bytes is null)
            return node;
        node["mode"] = Convert.ToString(e.Mode, 8);
        node["hex"] = Convert.ToHexStringLower(e.Bytes);
        if (e.Size is { } size)
            node["size"] = size;
        if (e.Withheld)
            node["withheld"] = true;
        return node;
    }

    private static SmallFlist FlistOf(JsonNode c)
    {
        var flist = SmallFlist.Bare();
        foreach (var e in c["tree"]!.AsArray().Select(e => e!))
        {
            var path = Text(e, "path");
            if (e["target"] is { } target)
                flist.Link(path, target.GetValue<string>());
            else if (e["hex"] is null)
                flist.Directory(path);
            else
                flist.Add(path, new SmallFlist.Entry(
                    Convert.FromHexString(Text(e, "hex")), null, Convert.ToUInt16(Text(e, "mode"), 8), e["size"]?.GetValue<long>(), e["withheld"] is not null));
        }
        if (c["vm"] is { } vm)
            return flist.Boots(Text(vm, "kernel"), Text(vm, "initrd"), new Units.Bytes(vm["memory"]!.GetValue<long>()));
        var container = c["container"]!;
        string[] Texts(string member) => [.. container[member]!.AsArray().Select(t => t!.GetValue<string>())];
        return flist.Environment([.. container["env"]!.AsObject().Select(v => (v.Key, v.Value!.GetValue<string>()))]).With(x => x with
        {
            Entry = Text(container, "entry"),
            WorkDir = Text(container, "workdir"),
            Mounts = [.. Texts("volumes").Select(p => new VolumeMount(p, "data"))],
            Scratch = [.. Texts("scratch").Select(p => new Scratch(p, Units.Bytes.MiB(1)))],
            Secrets = [.. Texts("secrets").Select(p => new Secret(p, ReadOnlyMemory<byte>.Empty))],
        });
    }

    private static AgreementTerms Read(JsonNode c, string member) => (AgreementTerms)Payload.Decode(Hex(c, member)).Body;

    private static byte[] Hex(JsonNode c, string member) => Convert.FromHexString(Text(c, member));

    private static string Text(JsonNode node, string member) => node[member]!.GetValue<string>();

    [GeneratedRegex(@"RefusalCode\.(\w+)")]
    private static partial Regex CodeName();
}
