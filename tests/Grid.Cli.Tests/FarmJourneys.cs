using System.Text.Json.Nodes;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>What a farmer says of farm and nodes, and what a user hears of it.</summary>
public sealed class FarmJourneys(RealLedger real) : Journeys(real)
{
    [Fact]
    public async Task A_draft_is_held_against_the_ledger_with_its_places()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;

        var (code, _, error) = await shell.RunAsync("plan", shell.Write("nowhere.yaml", Draft("nowhere", "no-such-farm")));
        Assert.Equal(Exit.Error, code);
        Assert.Contains("nowhere.yaml:2:7: 'no-such-farm' is no node", error, StringComparison.Ordinal);
        Assert.Equal(RefusalCode.UnresolvedNode, await shell.RefusedAsync("plan", shell.Write("seventh.yaml", Draft("seventh", farm + "/7"))));
        Assert.Equal(RefusalCode.EnvPlaceholder, await shell.RefusedAsync("plan", shell.Write("hole.yaml", Draft("hole", farm) + "    env: { TOKEN: \"${TOKEN}\" }\n")));
        Assert.Equal(RefusalCode.UnresolvedVolume, await shell.RefusedAsync("plan", shell.Write("volume.yaml", Draft("volume", farm) + "    mounts: { /data: store }\n")));
        Assert.Equal(RefusalCode.ExecFromWritable, await shell.RefusedAsync("plan", shell.Write("write.yaml", Draft("write", farm) + "    scratch: { /bin: 1MiB }\n")));
        Assert.Equal(RefusalCode.OfferMismatch, await shell.RefusedAsync("plan", shell.Write("large.yaml", Draft("large", farm).Replace("cpu: 0.5", "cpu: 3", StringComparison.Ordinal))));
        Assert.Equal(RefusalCode.TermInPast, await shell.RefusedAsync("plan", shell.Write("past.yaml", Draft("past", farm).Replace("{ until: +24h }", "{ answerBy: 2020-01-01T00:00Z }", StringComparison.Ordinal))));
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("status", "nothing"));
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("status", new AgreementId(Digest.Of("x"u8)).ToString()));
        Assert.Equal(RefusalCode.NameTaken, await shell.RefusedAsync("farm", "register", farm, "--account", "alice"));
    }

    [Fact]
    public async Task A_farmer_says_what_addresses_a_farm_has()
    {
        using var shell = new TestShell();
        var (farm, _) = await PartiesAsync(shell, node: false);
        // Of documentation, and of no other run of this test.
        string Ip(int host) => $"2001:db8:{Environment.ProcessId & 0xFFFF:x}::{host}/64@fe80::1";
        string[] Listed(JsonNode node) => [.. node["addresses"]!.AsArray().Select(a => a!.GetValue<string>())];

        Assert.Equal([Ip(7), Ip(9)], Listed(await shell.JsonAsync("farm", "addresses", farm, Ip(9), Ip(7), "--account", "farmer")));
        await shell.JsonAsync("farm", "addresses", farm, "-f", shell.Write("addresses", $"# all\n{Ip(8)}  # one\n\n"), "--account", "farmer");
        Assert.Equal([Ip(8)], Listed((await shell.JsonAsync("farm", "show", farm))["farm"]!));
        Assert.Contains(Ip(8), (await shell.RunAsync("farm", "show", farm)).Out, StringComparison.Ordinal);
        Assert.Equal(RefusalCode.NotAParty, await shell.RefusedAsync("farm", "addresses", farm, Ip(9), "--account", "alice"));
        Assert.Equal(RefusalCode.AddressInvalid, await shell.RefusedAsync("farm", "addresses", farm, "10.0.0.7/24@10.0.0.1", "--account", "farmer"));
        Assert.Equal(RefusalCode.Malformed, await shell.RefusedAsync("farm", "addresses", farm, "203.0.113.7", "--account", "farmer"));
        Assert.Equal(RefusalCode.Malformed, await shell.RefusedAsync("farm", "addresses", farm, Ip(9), Ip(9), "--account", "farmer"));
        Assert.Equal(CliCode.Usage, await shell.RefusedAsync("farm", "addresses", farm, "--account", "farmer"));
        Assert.Empty(Listed(await shell.JsonAsync("farm", "addresses", farm, "--none", "--account", "farmer")));
    }

    [Fact]
    public async Task A_node_that_drains_says_why_and_takes_nothing_new()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var yaml = shell.Write("grid.yaml", Draft("late", farm));
        Assert.Equal(RefusalCode.NotAParty, await shell.RefusedAsync("node", "drain", farm, "--account", "alice"));
        await shell.JsonAsync("node", "drain", farm, "--reason", "its fans are loud", "--account", "farmer");
        Assert.Equal("its fans are loud", Text((await shell.JsonAsync("node", "show", farm))["node"]!, "drains"));
        var shown = (await shell.RunAsync("node", "show", farm)).Out;
        Assert.Contains("state:        drains: its fans are loud\n", shown, StringComparison.Ordinal);
        Assert.Contains("         CPU  MEMORY  SSD    HDD  IPV4\nheld     0    0B      0B     0B   0\noffered  4    8GiB    50GiB  0B   0\n", shown, StringComparison.Ordinal);
        Assert.Matches($"{node.Id}  -  +farm1[a-z0-9]+  drains: its fans are loud\n", (await shell.RunAsync("node", "list", "--farm", farm)).Out);
        Assert.Equal(RefusalCode.NodeDrains, await shell.RefusedAsync("plan", yaml));
        Assert.Equal(RefusalCode.NodeDrains, await shell.RefusedAsync("apply", yaml, "--yes", "--no-wait"));
        await shell.JsonAsync("node", "drain", farm, "--lift", "--account", "farmer");
        await shell.JsonAsync("apply", yaml, "--yes", "--no-wait");
        // What is agreed there is no news to it.
        await shell.JsonAsync("node", "drain", farm, "--account", "farmer");
        Assert.Equal(Exit.Ok, (await shell.RunAsync("plan", yaml)).Code);
        await shell.JsonAsync("node", "retire", node.Id.ToString(), "--breach", "--account", "farmer", "--yes");
        shell.Write("later.yaml", Draft("later", node.Id.ToString()));
        Assert.Equal(RefusalCode.UnresolvedNode, await shell.RefusedAsync("plan", shell.PathOf("later.yaml")));
        Assert.Contains("is retired", (await shell.RunAsync("plan", shell.PathOf("later.yaml"))).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_with_agreements_is_retired_only_as_a_breach_and_the_refusal_says_how()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("broken", farm)), "--yes", "--no-wait");
        await shell.JsonAsync("agreement", "sign", "broken", "--account", "farmer", "--yes");

        var (code, _, error) = await shell.RunAsync("node", "retire", farm, "--account", "farmer", "--yes");
        Assert.Equal(Exit.Error, code);
        Assert.Contains("error[agreements-running]", error, StringComparison.Ordinal);
        Assert.Contains("--breach", error, StringComparison.Ordinal);
        await shell.JsonAsync("node", "retire", farm, "--account", "farmer", "--yes", "--breach");
        Assert.Equal("ended", Text(await shell.JsonAsync("status", "broken"), "status"));
    }

    [Fact]
    public async Task A_node_that_refuses_ends_it_and_the_one_who_waits_is_told_why()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var id = Id.Parse<AgreementId>(Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("refused", farm)), "--yes", "--no-wait"), "agreement"));
        await shell.JsonAsync("agreement", "sign", "refused", "--account", "farmer", "--yes");
        var waiting = shell.RunAsync("apply", shell.PathOf("grid.yaml"), "--yes", "-o", "json");
        await node.RefuseAsync(id, RefusalCode.FlistIncomplete, "two chunks are at no hub");

        var (code, text, _) = await waiting;

        Assert.Equal(Exit.Negative, code);
        Assert.Equal($"{RefusalCode.FlistIncomplete}: two chunks are at no hub", Text(JsonNode.Parse(text)!, "reason"));
        Assert.Equal("unknown", Text(await shell.JsonAsync("explain", "refused/web"), "state"));
        Assert.Equal("node-silent", await shell.RefusedAsync("logs", "refused/web"));
    }
}
