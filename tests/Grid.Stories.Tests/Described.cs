using Grid.Agreements;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>What is not described down to the byte is refused: by the ledger, and by a node that a lying ledger hands it to.</summary>
[Collection("one at a time")]
public sealed class Described
{
    [Theory]
    [InlineData(RefusalCode.EntryNotDescribed)]
    [InlineData(RefusalCode.LibraryNotDescribed)]
    [InlineData(RefusalCode.InterpreterNotDescribed)]
    [InlineData(RefusalCode.FlistIncomplete)]
    public async Task Undescribed_files_are_refused_by_the_ledger_and_by_the_node(string code)
    {
        await using var stage = await Stage.Stage.SetAsync(examine: true);
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var container = Undescribed(code, node.Id, await stage.PublishAsync(Trees.Make(stage, "web", Holes)));
        Assert.Equal(code, await stage.RefusedAsync(stage.Proposal(stage.Terms(container), stage.Farms[0])));

        // The same ledger, now run by somebody who does not care: it records the agreement, and the node refuses it by itself.
        await stage.Ledger.StopAsync();
        await stage.StartLedgerAsync(examine: false);
        var id = await stage.AgreeAsync(stage.Terms(container), "refused");
        Assert.Equal(code, Assert.IsType<Agreement.Refused>((await stage.BundleAsync(id)).Agreement).Code);
        Assert.Empty(node.Traces());
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

    // A dynamic program with its loader but without its libraries, and a script without its interpreter.
    private static void Holes(string root)
    {
        const string Loader = "/lib64/ld-linux-x86-64.so.2";
        Assert.True(File.Exists(Loader), "x86-64 Debian");
        Directory.CreateDirectory(Path.Combine(root, "lib64"));
        File.Copy(Loader, root + Loader);
        File.Copy("/bin/ls", Path.Combine(root, "bin/dynamic"));
        Trees.Script(root, "bin/script", "#!/bin/nowhere\n");
    }
}
