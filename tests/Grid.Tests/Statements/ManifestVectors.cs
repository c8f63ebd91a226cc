using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Flists;
using Grid.Units;

namespace Grid.Tests;

/// <summary><c>tests/vectors/flists/manifests.json</c>: what flist ids name, out to the limits of each field, and what is no manifest.</summary>
public sealed class ManifestVectors
{
    private const string File = "flists/manifests.json";

    private static readonly JsonSerializerOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    private static readonly Manifest Whole = new(
        Digest.Of("root"u8), new TreeCounts(3, 2, 1, 0), 300_000, 4, "linux/amd64", new StartDefaults("/init", ["-v", "serve"], [new("PATH", "/bin"), new("LANGUAGE", "en")], "/srv", new ManifestUser(33, 34)),
        [new("commit", "abc")]);

    private static readonly Manifest Least = new(Digest.Of("root"u8), default, 0, 0, "", StartDefaults.None with { WorkDir = "" }, []);

    [Fact]
    public void Writing_them_again_changes_nothing_and_each_is_read_as_it_says()
    {
        var all = new JsonArray([.. Good().Concat(Bad())]);
        foreach (var one in all.Select(o => o!))
        {
            if (one["id"] is { } id)
                Assert.Equal((id.GetValue<string>(), one.Text("hex")), ($"{Manifest.IdOf(one.Hex("hex"))}", Convert.ToHexStringLower(Manifest.Decode(one.Hex("hex")).Encode())));
            else
                Assert.True(Record.Exception(() => Manifest.Decode(one.Hex("hex"))) is FlistFormatException { Code: FlistFormatCode.BadManifest }, one.Text("name"));
        }
        if (Vectors.Write)
            Vectors.Save(File, all.ToJsonString(Indented) + "\n");
        Assert.True(JsonNode.DeepEquals(all, Vectors.Node(File)));
    }

    private static IEnumerable<JsonObject> Good()
    {
        (string Name, Manifest Manifest)[] cases =
        [
            ("everything", Whole),
            ("nothing", Least),
            ("the largest numbers", Least with { Counts = new(int.MaxValue, int.MaxValue, int.MaxValue, int.MaxValue), Size = long.MaxValue, Chunks = int.MaxValue, Start = Least.Start with { User = new(uint.MaxValue - 1, uint.MaxValue - 1) } }),
            ("the longest texts", Whole with { Platform = new string('p', 64), Start = Whole.Start with { Entry = new string('e', 4095), WorkDir = new string('w', 4095), Args = [""], Environment = [new(new string('n', 1024), "")] }, Source = [new(new string('s', 64), new string('v', 4096))] }),
            ("umlauts, counted in bytes", Whole with { Platform = new string('ü', 32) }),
        ];
        return cases.Select(c => new JsonObject { ["name"] = c.Name, ["hex"] = Convert.ToHexStringLower(c.Manifest.Encode()), ["id"] = $"{c.Manifest.Id}", ["manifest"] = RawCbor.Read(c.Manifest.Encode()).ToJson() });
    }

    private static IEnumerable<JsonObject> Bad()
    {
        var good = (RawMap)RawCbor.Read(Whole.Encode());
        RawCbor Put(string field, RawCbor value) => good.With(_ => value, field);
        RawCbor Longest(int length) => RawCbor.Text(new string('x', length));
        RawCbor Map(params (string Key, string Value)[] pairs) => new RawMap([.. pairs.Select(p => new KeyValuePair<RawCbor, RawCbor>(RawCbor.Text(p.Key), RawCbor.Text(p.Value)))]);
        (string Name, RawCbor Manifest)[] cases =
        [
            .. good.Names.Select(n => ($"without {n}", (RawCbor)good.Without(n))),
            .. good.Names.Select(n => ($"{n} as a float", Put(n, new RawBytes([0xf9, 0x3c, 0x00])))),
            .. good.Names.Where(n => n != "user").Select(n => ($"{n} null", Put(n, new RawBytes([0xf6])))),
            .. new[] { "files", "links", "chunks", "others", "directories" }.Select(n => ($"{n} too large", Put(n, RawCbor.UInt(1UL << 31)))),
            .. new[] { "entry", "workdir" }.Select(n => ($"{n} too long", Put(n, Longest(4096)))),
            ("version 2", Put("v", RawCbor.UInt(2))),
            ("size too large", Put("size", RawCbor.UInt(1UL << 63))),
            ("size below zero", Put("size", new RawInteger(1, 0))),
            ("size not in its shortest form", good.With(v => ((RawInteger)v) with { Width = 8 }, "size")),
            ("root too short", Put("root", RawCbor.Bytes(new byte[31]))),
            ("root as text", Put("root", Longest(32))),
            ("platform too long", Put("platform", Longest(65))),
            ("platform not UTF-8", Put("platform", new RawString(3, [0xff]))),
            ("args too many", Put("args", RawCbor.List([.. Enumerable.Repeat(RawCbor.Text(""), 1001)]))),
            ("args as one text", Put("args", RawCbor.Text("serve"))),
            ("env with a name too long", Put("env", Map((new string('n', 1025), "")))),
            ("env out of order", Put("env", Map(("LANGUAGE", "en"), ("PATH", "/bin")))),
            ("env with a name twice", Put("env", Map(("PATH", "/bin"), ("PATH", "/sbin")))),
            ("source with too many words", Put("source", Map([.. Enumerable.Range(0, 33).Select(i => ($"{i:00}", ""))]))),
            ("source with a word too long", Put("source", Map(("commit", new string('v', 4097))))),
            ("user without gid", good.With(u => ((RawMap)u).Without("gid"), "user")),
            ("user that is nobody", good.With(_ => RawCbor.UInt(uint.MaxValue), "user", "uid")),
            ("user by name", Put("user", RawCbor.Text("www-data"))),
            ("unknown field", good.And("arch", RawCbor.Text("amd64"))),
            ("indefinite length", good with { Indefinite = true }),
            ("a list", RawCbor.List(RawCbor.UInt(1))),
            ("a byte behind it", new RawBytes([.. good.Encode(), 0])),
            ("cut short", new RawBytes(good.Encode()[..^1])),
        ];
        return cases.Select(c => new JsonObject { ["name"] = c.Name, ["hex"] = Convert.ToHexStringLower(c.Manifest.Encode()) });
    }
}
