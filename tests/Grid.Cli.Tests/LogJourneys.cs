using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>Logs, read and followed.</summary>
public sealed class LogJourneys(RealLedger real) : Journeys(real)
{
    [Fact]
    public async Task Logs_are_read_where_the_node_is()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var id = Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("talks", farm)), "--yes", "--no-wait"), "agreement");
        shell.Environment["GRID_NODE_LOGS"] = shell.Home;
        shell.Write($"{id}.web.log", "2026-01-01T00:00:00.5Z stdout F hello\nrubbish\n2026-01-01T00:00:01Z stderr P in \n2026-01-01T00:00:01Z stderr F pieces \t\e[2J\n");

        Assert.Equal(["hello", "in pieces \t\e[2J"], (await shell.JsonAsync("logs", "talks/web"))["items"]!.AsArray().Select(l => Text(l!, "text")));
        Assert.Equal("in pieces \t\\x1b[2J\n", (await shell.RunAsync("logs", "talks/web", "--tail", "1")).Out);
        Assert.Equal("in pieces \t\\x1b[2J\n", (await shell.RunAsync("logs", "talks/web", "--since", "2026-01-01T00:00:01Z")).Out);
        Assert.Equal("", (await shell.RunAsync("logs", "talks/web", "--tail", "0")).Out);
        Assert.Equal(CliCode.Usage, await shell.RefusedAsync("logs", "talks/web", "--tail", "-1"));
    }

    [Fact]
    public async Task What_runs_nothing_has_no_log()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell, offer: Offer.Replace("[container]", "[container, network, volume]", StringComparison.Ordinal)
            .Replace("memory: 7000", "memory: 7000, ssd: 1", StringComparison.Ordinal).Replace("memory: 1GiB", "memory: 1GiB, ssd: 1GiB", StringComparison.Ordinal));
        using var _ = node;
        await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("mute", farm) + "    networks: { net: 10.42.0.2 }\n  store: { kind: volume, size: 8MiB }\n  net: { kind: network, cidr: 10.42.0.0/24 }\n"), "--yes", "--no-wait");

        Assert.Equal(RefusalCode.UnsupportedKind, await shell.RefusedAsync("logs", "mute/store"));
        Assert.Equal(RefusalCode.UnsupportedKind, await shell.RefusedAsync("logs", "mute/net"));
    }

    [Fact]
    public async Task A_log_is_followed_through_its_rotation_to_the_end_of_its_workload()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var id = Id.Parse<AgreementId>(Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("followed", farm)), "--yes", "--no-wait"), "agreement"));
        await shell.JsonAsync("agreement", "sign", "followed", "--account", "farmer", "--yes");
        await node.ReadyAsync(id);
        await node.ReceiptAsync(id, WorkloadState.Running);
        shell.Environment["GRID_NODE_LOGS"] = shell.Home;
        var file = $"{id}.web.log";
        var screen = new Screen();

        var following = shell.RunAsync(screen, TestContext.Current.CancellationToken, "logs", "followed/web", "-f", "--tail", "1");
        shell.Write(file, "2026-01-01T00:00:00Z stdout F one\n");
        await screen.ShowsAsync("one\n");
        File.AppendAllText(shell.PathOf(file), "2026-01-01T00:00:01Z stdout F tw");
        File.AppendAllText(shell.PathOf(file), "o\n2026-01-01T00:00:01Z stdout P three and \n");
        await screen.ShowsAsync("two\n");
        // As the shim does when the file is full; a piece goes on in the new one.
        shell.Write("aside", "2026-01-01T00:00:02Z stdout F more\n");
        File.Move(shell.PathOf("aside"), shell.PathOf(file), overwrite: true);
        await screen.ShowsAsync("three and more\n");
        await shell.JsonAsync("cancel", "followed", "--yes");
        File.AppendAllText(shell.PathOf(file), "2026-01-01T00:00:03Z stderr F bye\n");
        await node.ReceiptAsync(id, WorkloadState.Gone);

        Assert.Equal((Exit.Ok, "one\ntwo\nthree and more\nbye\n"), (await following) is var (code, text, _) ? (code, text) : default);
        Assert.Equal("bye\n", (await shell.RunAsync("logs", "followed/web", "--follow", "--tail", "1")).Out);
    }

    [Fact]
    public async Task Following_ends_by_ctrl_C_and_every_line_is_a_document()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var id = Text(await shell.JsonAsync("apply", shell.Write("grid.yaml", Draft("stopped", farm)), "--yes", "--no-wait"), "agreement");
        Assert.Equal("node-silent", await shell.RefusedAsync("logs", "stopped/web", "-f"));
        shell.Environment["GRID_NODE_LOGS"] = shell.Home;
        shell.Write($"{id}.web.log", "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z stdout F two\n");
        using var person = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var screen = new Screen();

        var following = shell.RunAsync(screen, person.Token, "logs", "stopped/web", "-f", "-o", "json");
        await screen.ShowsAsync("two");
        await person.CancelAsync();

        var (code, text, error) = await following;
        Assert.Equal((Exit.Ok, ""), (code, error));
        Assert.Equal(["one", "two"], text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => Text(JsonNode.Parse(l)!, "text")));
    }
}
