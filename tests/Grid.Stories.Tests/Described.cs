using System.Text;
using Grid.Agreements;
using Grid.Cli.Tests;
using Grid.Stories.Tests.Stage;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>What is not described down to the byte is refused: while it is a file, by the ledger, and by a node that a lying ledger hands it to.</summary>
[Collection("one at a time")]
public sealed class Described
{
    [Theory]
    [InlineData(RefusalCode.EntryNotDescribed)]
    [InlineData(RefusalCode.LibraryNotDescribed)]
    [InlineData(RefusalCode.InterpreterNotDescribed)]
    [InlineData(RefusalCode.InterpreterNotDescribed, "/bin/unloaded")]
    [InlineData(RefusalCode.FlistIncomplete)]
    public async Task Undescribed_files_are_refused_as_a_draft_by_the_ledger_and_by_the_node(string code, string? entry = null)
    {
        await using var stage = await Stage.Stage.SetAsync(examine: true);
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var container = Undescribed(code, node.Id, await stage.PublishAsync(Trees.Make(stage, "web", Holes)));
        if (entry is not null)
            container = container with { Entry = entry };
        Assert.Contains($"\"code\":\"{code}\"", await PlanAsync(stage, container), StringComparison.Ordinal);
        Assert.Equal(code, await stage.RefusedAsync(stage.Proposal(stage.Terms(container), stage.Farms[0])));

        // The same ledger, now run by somebody who does not care: it records the agreement, and the node refuses it by itself.
        await stage.Ledger.StopAsync();
        await stage.StartLedgerAsync(examine: false);
        var id = await stage.AgreeAsync(stage.Terms(container), "refused");
        Assert.Equal(code, Assert.IsType<Agreement.Refused>((await stage.BundleAsync(id)).Agreement).Code);
        Assert.Empty(node.Traces());
    }

    [Fact]
    public async Task Every_tree_that_the_vectors_refuse_is_refused_by_the_ledger_and_by_the_node_with_its_code()
    {
        await using var stage = await Stage.Stage.SetAsync(examine: true);
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var secret = await stage.SealAsync(node, "TOKEN", "what opens");
        var refused = new List<(RefusalVector Vector, AgreementTerms Terms)>();
        var (unreal, unrecorded, byTheNode) = (new List<string>(), new List<string>(), 0);
        foreach (var vector in RefusalVector.All().Where(v => v.Rules == "closure"))
        {
            if (!vector.Plant(stage.At(vector.Name)))
            {
                unreal.Add(vector.Name);
                continue;
            }
            var terms = stage.Terms([.. vector.Starts(node.Id, await stage.PublishAsync(stage.At(vector.Name)), at => secret with { At = at })]);
            Assert.Equal((vector.Name, vector.Code), (vector.Name, await stage.RefusedAsync(stage.Proposal(terms, stage.Farms[0]))));
            refused.Add((vector, terms));
        }
        // No file has another size than its chunks have, and from this hub every chunk can be had.
        Assert.Equal(["closure-chunk-withheld", "closure-size-untrue"], unreal);
        await stage.Ledger.StopAsync();
        await stage.StartLedgerAsync(examine: false);
        foreach (var (vector, terms) in refused)
        {
            // What breaks a rule of the terms as well no ledger records.
            if (AgreementRules.Check(terms) is [var rule, ..])
            {
                unrecorded.Add($"{vector.Name}: {rule.Code}");
                continue;
            }
            var id = await stage.AgreeAsync(terms with { Term = Stage.Stage.Term() }, "refused");
            Assert.Equal((vector.Name, vector.Code), (vector.Name, Assert.IsType<Agreement.Refused>((await stage.BundleAsync(id)).Agreement).Code));
            byTheNode++;
        }
        Assert.Equal([], unrecorded);
        Assert.True(byTheNode > 30 && byTheNode == refused.Count, $"{byTheNode} of {refused.Count} came before the node.");
        Assert.Empty(node.Traces());
    }

    [Fact]
    public async Task A_flist_by_name_is_refused_whoever_signed()
    {
        await using var stage = await Stage.Stage.SetAsync(examine: false);
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        // Whose signatures these are is looked at later. What a node does that is handed it is told where ledgers forge.
        var bytes = Forgery.ByName(stage.Proposal(stage.Terms(Trees.Web("web", node.Id, flist)), stage.Farms[0]));
        using var http = new HttpClient { BaseAddress = stage.LedgerAddress };
        using var content = new ByteArrayContent(bytes) { Headers = { ContentType = new("application/cose") } };
        using var answer = await http.PostAsync("v1/statements", content);
        Assert.Contains($"\"code\":\"{RefusalCode.MutableReference}\"", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Empty(node.Traces());
    }

    /// <returns>what <c>grid plan</c> says of it, without spaces</returns>
    private static async Task<string> PlanAsync(Stage.Stage stage, Container container)
    {
        var file = stage.At("grid.yaml");
        await File.WriteAllTextAsync(file, $$"""
            name: undescribed
            node: {{container.Node}}
            workloads:
              web: { kind: container, flist: {{container.Flist}}, entry: {{container.Entry}}, cpu: 0.1, memory: 32MiB }
            """);
        using var grid = Heard.Grid(new Dictionary<string, string> { ["GRID_HOME"] = stage.At("home") },
            "plan", file, "-o", "json", "--ledger", stage.LedgerAddress.AbsoluteUri, "--ledger-key", stage.LedgerKey.ToString(),
            "--hub", stage.HubAddress.AbsoluteUri, "--account", stage.User.ToString(), "--key", "none");
        Assert.True(await grid.EndAsync() == 255, grid.Text);
        return grid.Text.Replace(" ", "", StringComparison.Ordinal);
    }

    private static Container Undescribed(string code, NodeId node, FlistId flist)
    {
        var web = Trees.Web("web", node, flist);
        return code switch
        {
            RefusalCode.EntryNotDescribed => web with { Entry = "/bin/absent" },
            RefusalCode.LibraryNotDescribed => web with { Entry = "/bin/dynamic" },
            RefusalCode.InterpreterNotDescribed => web with { Entry = "/bin/script" },
            _ => web with { Flist = new FlistId(Digest.Of("nobody has this"u8)) },
        };
    }

    // A dynamic program with its loader but without its libraries, one that asks for another loader, and a script without its interpreter.
    private static void Holes(string root)
    {
        const string Loader = "/lib64/ld-linux-x86-64.so.2";
        Assert.True(File.Exists(Loader), "x86-64 Debian");
        Directory.CreateDirectory(Path.Combine(root, "lib64"));
        File.Copy(Loader, root + Loader);
        File.Copy("/bin/ls", Path.Combine(root, "bin/dynamic"));
        var unloaded = File.ReadAllBytes("/bin/ls");
        var loader = Encoding.ASCII.GetBytes(Loader);
        unloaded[unloaded.AsSpan().IndexOf(loader) + loader.Length - 1] = (byte)'9';
        File.WriteAllBytes(Path.Combine(root, "bin/unloaded"), unloaded);
        File.SetUnixFileMode(Path.Combine(root, "bin/unloaded"), File.GetUnixFileMode("/bin/ls"));
        Trees.Script(root, "bin/script", "#!/bin/nowhere\n");
    }
}
