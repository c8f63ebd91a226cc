using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grid.Agreements;
using Grid.Cli.Keys;
using Grid.Logs;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>A user far from the node reads what a workload writes; whoever carries it learns that it was read, and not what.</summary>
[Collection("one at a time")]
public sealed class Logs
{
    private const string Marker = "WRITTEN-BY-THE-WORKLOAD";

    [Fact]
    public async Task The_user_reads_and_follows_a_log_over_the_network_and_nobody_else_does()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var farm = await stage.AddFarmAsync("north");
        var node = await stage.AddNodeAsync(farm, "one");
        var flist = await stage.PublishAsync(Trees.Make(stage, "talker", root => File.WriteAllText(Path.Combine(root, "srv/marker"), Marker)));
        var terms = stage.Terms(Trees.Run("talker", node.Id, flist, "sh", "-c", "m=$(cat /srv/marker); echo $m one; echo $m two >&2; n=0; while true; do sleep 1; n=$((n+1)); echo $m tick $n; done"));
        var id = await stage.AgreeAsync(terms, "running");
        await using var carrier = new Listener(stage.LedgerAddress);

        // With grid itself, which has a key of the user, an address of the ledger and nothing of the node.
        var home = stage.At("home");
        Assert.Null(new KeyRing(Path.Combine(home, "keys")).Add(KeyFile.Plain("me", SHA256.HashData(Encoding.UTF8.GetBytes($"{stage.Directory} user")))));
        var said = await GridAsync(stage, carrier, home, "logs", $"{id}/talker", "-o", "json");
        using var document = JsonDocument.Parse(said);
        var lines = document.RootElement.GetProperty("items").EnumerateArray().Select(l => (l.GetProperty("stream").GetString(), l.GetProperty("text").GetString())).ToList();
        Assert.Equal([("stdout", $"{Marker} one"), ("stderr", $"{Marker} two")], lines.Take(2).OrderByDescending(l => l.Item1));
        Assert.Equal(1, (await GridAsync(stage, carrier, home, "logs", $"{id}/talker", "--tail", "1")).Count(c => c == '\n'));
        Assert.Equal("", await GridAsync(stage, carrier, home, "logs", $"{id}/talker", "--since", "2099-01-01T00:00:00Z"));

        using var following = Start(stage, carrier, home, "logs", "-f", $"{id}/talker", "--since", "1h");
        var first = await following.StandardOutput.ReadLineAsync();
        Assert.Contains(Marker, first, StringComparison.Ordinal);
        while (await following.StandardOutput.ReadLineAsync() is { } line && !line.Contains($"tick {lines.Count + 2}", StringComparison.Ordinal))
            Assert.Contains(Marker, line, StringComparison.Ordinal);

        // Once, however long its entry took to be read.
        Assert.Equal(1, File.ReadLines(node.AgentLog).Count(l => l.Contains("Done: Start", StringComparison.Ordinal)));

        // Whoever operates the machine sees how it stands.
        using var status = JsonDocument.Parse(await GridAsync(stage, carrier, home, "node", "status", "--data", node.Data, "-o", "json"));
        Assert.Equal(node.Running()["talker"], status.RootElement.GetProperty("workloads")[0].GetProperty("pid").GetInt32());
        Assert.Equal(JsonValueKind.Null, status.RootElement.GetProperty("drains").ValueKind);
        Assert.InRange(status.RootElement.GetProperty("silentSeconds").GetInt64(), 0, 60);
        Assert.Equal(100, status.RootElement.GetProperty("held").GetProperty("cpu").GetInt64());
        Assert.True(status.RootElement.GetProperty("cacheBytes").GetInt64() >= 0);
        Assert.All(["containers", "limits", "system call filter", "user namespaces"], name => Assert.Equal(JsonValueKind.String,
            status.RootElement.GetProperty("mechanisms").EnumerateArray().Single(m => m.GetProperty("name").GetString() == name).GetProperty("active").ValueKind));

        // A stranger, by a request as good as the user's but for the key.
        var secret = SHA256.HashData("a stranger's"u8);
        var request = new LogRequest(Stage.Stage.Origin, id, node.Id, "talker", LogAnswer.PublicOf(secret), default, null, null, TimeSpan.Zero, DateTimeOffset.UtcNow.AddMinutes(2));
        Assert.False((await stage.Client.AskLogAsync(request.Sign(stage.Key("stranger")), TimeSpan.Zero, default)).Try(out _, out var refusal));
        Assert.Equal(RefusalCode.StrangerSigned, refusal.Code);
        Assert.True((await stage.Client.AskLogAsync(request.Sign(stage.Key("user")), TimeSpan.Zero, default)).Try(out var answer, out refusal), refusal?.ToString());
        Assert.True(LogAnswer.IsBy(answer, LogRequest.Decode(request.Sign(stage.Key("user"))).Id, (await stage.BundleAsync(id)).State.Nodes[node.Id].Key));
        Assert.Equal(-1, answer.Span.IndexOf(Encoding.ASCII.GetBytes(Marker)));

        // Following ends with the workload, and what is over can still be read.
        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        Assert.Contains("tick", await following.StandardOutput.ReadToEndAsync(), StringComparison.Ordinal);
        await following.WaitForExitAsync();
        Assert.Equal(0, following.ExitCode);
        Assert.Contains($"{Marker} one", await GridAsync(stage, carrier, home, "logs", $"{id}/talker"), StringComparison.Ordinal);

        var heard = carrier.Heard;
        Assert.NotEqual(-1, heard.AsSpan().IndexOf("/v1/logs"u8));
        Assert.Equal(-1, heard.AsSpan().IndexOf(Encoding.ASCII.GetBytes(Marker)));
        // Nor in base64, wherever in it the text would begin.
        Assert.All(Enumerable.Range(0, 3), at => Assert.Equal(-1, heard.AsSpan().IndexOf(Encoding.ASCII.GetBytes(Convert.ToBase64String(Encoding.ASCII.GetBytes(Marker[at..(at + 18)]))))));
    }

    private static Process Start(Stage.Stage stage, Listener carrier, string home, params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Find("grid-cli"), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in new[]
        {
            ("GRID_HOME", home), ("GRID_LEDGER", carrier.Address.AbsoluteUri), ("GRID_LEDGER_KEY", stage.LedgerKey.ToString()), ("GRID_KEY", "me"),
            ("GRID_ACCOUNT", stage.User.ToString()),
        })
            start.Environment[name] = value;
        return Process.Start(start)!;
    }

    private static async Task<string> GridAsync(Stage.Stage stage, Listener carrier, string home, params string[] arguments)
    {
        using var grid = Start(stage, carrier, home, arguments);
        var (output, errors) = (grid.StandardOutput.ReadToEndAsync(), grid.StandardError.ReadToEndAsync());
        await grid.WaitForExitAsync();
        Assert.True(grid.ExitCode == 0, $"exit {grid.ExitCode}: {await output}{await errors}\n{stage.Logs()}");
        return await output;
    }
}
