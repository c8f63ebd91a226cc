using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Grid.Agreements;
using Grid.Flists.Hub;
using Grid.Hub.Tests;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>A hub is believed in nothing: while it lies nothing runs that was not agreed, everything else goes on, and one that tells the truth again is enough.</summary>
[Collection("one at a time")]
public sealed partial class LyingHubs
{
    /// <param name="Of">which answers about a flist are bent</param>
    /// <param name="Code">what the node says of it</param>
    private sealed record Lie(string Name, Func<Lies, string, bool> Of, Action<Answer, Lies> Bend, string Code);

    private static readonly ImmutableArray<Lie> All =
    [
        new("manifest", (l, path) => path == l.Manifest, (a, l) => a.Body = l.Other[0], RefusalCode.FlistInvalid),
        new("tree", (l, path) => path == l.Tree, (a, l) => a.Body = l.Other[1], RefusalCode.FlistInvalid),
        new("index", (l, path) => path == l.Index, (a, l) => a.Body = l.Other[2], RefusalCode.FlistIncomplete),
        new("bytes", (l, path) => l.Packs.Contains(path), (a, _) => a.Body.AsSpan().Reverse(), RefusalCode.FlistInvalid),
        new("short", (l, path) => path == l.Tree, (a, _) => (a.StatedLength, a.Body) = (a.Body.Length, a.Body[..^1]), RefusalCode.FlistIncomplete),
        new("endless", (l, path) => path == l.Manifest, (a, _) => a.Endless = true, RefusalCode.FlistIncomplete),
        new("slow", (l, path) => path == l.Tree, (a, _) => a.DripBytes = 1, RefusalCode.FlistIncomplete),
        new("refuses", (l, path) => path == l.Manifest, (a, _) => (a.Status, a.Body) = (503, []), RefusalCode.FlistIncomplete),
    ];

    [Fact]
    public async Task Nothing_starts_and_no_wrong_byte_is_read_while_a_hub_lies_and_all_of_it_runs_when_it_does_not()
    {
        await using var stage = await Stage.Stage.SetAsync();
        await using var hub = await LyingServer.StartAsync(stage.HubAddress.AbsoluteUri);
        var farm = await stage.AddFarmAsync("north");
        var node = await stage.AddNodeAsync(farm, "one", hub: new Uri(hub.Address));
        var honest = await stage.PublishAsync(Trees.Make(stage, "honest"));

        // It refuses while the node makes up its mind: nothing is said to the ledger, and why not is said here.
        hub.Lie = answer => (answer.Status, answer.Body) = (503, []);
        var steady = await ProposeAsync(stage, farm, Trees.Run("steady", node.Id, honest, "sleep", "100000"));
        await Wait.ForAsync("the node to say why it does not answer", () => Why(node, "steady").StartsWith(RefusalCode.FlistIncomplete, StringComparison.Ordinal), stage.Logs);
        Assert.Equal("agreed", (await stage.BundleAsync(steady)).Agreement.Status);
        hub.Lie = _ => { };
        await stage.UntilAsync(steady, "running");
        var pid = node.Running()["steady"];

        // It tells the truth until the node has agreed, and then lies of each flist in another way.
        var truth = await Lies.AboutAsync(stage, honest, null);
        var lies = new List<Lies>();
        foreach (var (lie, number) in All.Select((lie, i) => (lie, (byte)(i + 1))))
            lies.Add(await Lies.AboutAsync(stage, await stage.PublishAsync(Trees.Make(stage, lie.Name, root => Differ(root, number))), truth));
        var big = RandomNumberGenerator.GetBytes(3 << 20);
        var reader = await Lies.AboutAsync(stage, await stage.PublishAsync(Trees.Make(stage, "reader", root =>
        {
            Directory.CreateDirectory(Path.Combine(root, "data"));
            File.WriteAllBytes(Path.Combine(root, "data/big"), big);
        })), truth);
        var asked = hub.Asked.Count(Missing);
        var (lying, dripped) = (true, 0);
        hub.Lie = answer =>
        {
            if (!Volatile.Read(ref lying) || hub.Asked.Count(Missing) - asked < All.Length + 1)
                return;
            for (var i = 0; i < All.Length; i++)
            {
                if (All[i].Of(lies[i], answer.Path))
                    All[i].Bend(answer, lies[i]);
            }
            // Slow for as long as the node asks again before it gives up; not for the story's whole time.
            if (answer.DripBytes > 0 && Interlocked.Increment(ref dripped) > HubClientOptions.Default.Attempts)
                (answer.DripBytes, answer.Status, answer.Body) = (0, 503, []);
            if (reader.Packs.Contains(answer.Path))
                answer.Body.AsSpan().Reverse();
        };
        var id = await ProposeAsync(
            stage, farm,
            [
                .. lies.Zip(All, (l, lie) => Trees.Run(lie.Name, node.Id, l.Flist, "sleep", "100000")),
                Trees.Run("reader", node.Id, reader.Flist, "sh", "-c", "until sha256sum /data/big; do sleep 1; done; exec sleep 100000"),
            ]);
        string Silent() => string.Join(", ", All.Select(l => (l.Name, l.Code)).Append((Name: "reader", Code: RefusalCode.FlistInvalid))
            .Where(l => !Why(node, l.Name).StartsWith(l.Code, StringComparison.Ordinal)).Select(l => $"{l.Name}: {Why(node, l.Name)}"));
        await Wait.ForAsync("the node to say what is wrong with each", () =>
        {
            Assert.DoesNotContain(node.Running(), r => r.Key is not ("steady" or "reader") && Executes(r.Value));
            return Silent().Length == 0;
        }, () => $"{node.Status()}{stage.Logs()}\nNothing of {Silent()}");
        await Wait.ForAsync("the reader to be told of an error", () => node.Log(id, "reader").Contains("Input/output error", StringComparison.Ordinal), () => node.Log(id, "reader") + stage.Logs());
        var meanwhile = await stage.AgreeAsync(stage.Terms(Trees.Run("meanwhile", node.Id, honest, "sleep", "100000")), "running");
        Assert.Empty(Hashes(node.Log(id, "reader")));
        Assert.Equal(["meanwhile", "reader", "steady"], node.Running().Where(r => Executes(r.Value)).Select(r => r.Key).Order());
        Assert.NotEqual("running", (await stage.BundleAsync(id)).Agreement.Status);
        Volatile.Write(ref lying, false);
        await stage.UntilAsync(id, "running");
        await Wait.ForAsync("the reader to have read it", () => Hashes(node.Log(id, "reader")).Any(), stage.Logs);
        Assert.Equal([Convert.ToHexStringLower(SHA256.HashData(big))], Hashes(node.Log(id, "reader")));
        Assert.Equal(pid, node.Running()["steady"]);
        foreach (var agreement in new[] { steady, meanwhile, id })
            await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(agreement), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.Traces().Count == 0, () => string.Join('\n', node.Traces()) + stage.Logs());
    }

    private static async Task<AgreementId> ProposeAsync(Stage.Stage stage, StageFarm farm, params Workload[] workloads) =>
        new((await stage.SubmitAsync(stage.Proposal(stage.Terms(workloads), farm))).Statement.Id.Value);

    // Before its entry a container's first process is the runtime, which tries to execute it.
    private static bool Executes(int pid)
    {
        try
        {
            return new FileInfo($"/proc/{pid}/exe").LinkTarget is "/bin/busybox";
        }
        catch (IOException)
        {
            // It could not, and has ended.
            return false;
        }
    }

    private static bool Missing(string asked) => asked == "POST /v1/missing";

    private static string Why(StageNode node, string workload) =>
        node.Status().GetProperty("workloads").EnumerateArray().Where(w => w.GetProperty("name").GetString() == workload).Select(w => w.GetProperty("why").GetString()).SingleOrDefault() ?? "";

    private static ImmutableArray<string> Hashes(string log) => [.. Hash().Matches(log).Select(m => m.Value)];

    [GeneratedRegex("[0-9a-f]{64}")]
    private static partial Regex Hash();

    /// <summary>A program that no other flist has, so that no other brings it: of the ELF header's padding (EI_PAD) nobody reads anything.</summary>
    private static void Differ(string root, byte number)
    {
        using var program = File.OpenWrite(Path.Combine(root, "bin/busybox"));
        program.Position = 9;
        program.WriteByte(number);
    }

    /// <summary>Where a hub answers about a flist, and what it may answer of another instead: the manifest, the tree and the index.</summary>
    /// <param name="Packs">those that hold nothing of the other</param>
    private sealed record Lies(FlistId Flist, string Manifest, string Tree, string Index, ImmutableHashSet<string> Packs, ImmutableArray<byte[]> Other)
    {
        public static async Task<Lies> AboutAsync(Stage.Stage stage, FlistId flist, Lies? other)
        {
            using var hubs = new HubClient([stage.HubAddress.AbsoluteUri]);
            var root = Flists.Manifest.Decode(await hubs.GetManifestAsync(flist, default)).Root;
            var index = await HubClient.GetIndexAsync(hubs.Hubs[0], flist, 1 << 20, default);
            var lies = new Lies(flist, $"/v1/flists/{flist}/manifest", $"/v1/meta/{root}", $"/v1/flists/{flist}/index", [.. index.Packs.Select(p => $"/v1/packs/{p.Pack}")], []);
            if (other is null)
                return lies;
            using var http = new HttpClient { BaseAddress = stage.HubAddress };
            return lies with
            {
                Packs = lies.Packs.Except(other.Packs),
                Other = [await http.GetByteArrayAsync(other.Manifest), await http.GetByteArrayAsync(other.Tree), await http.GetByteArrayAsync(other.Index)],
            };
        }
    }
}
