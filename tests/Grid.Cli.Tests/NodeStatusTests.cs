namespace Grid.Cli.Tests;

public sealed class NodeStatusTests
{
    // As an agent writes it.
    private const string Status = """
        {
          "node": "node1qqqqqqqqqqqqqqqq", "runtime": "/usr/bin/crun", "accelerator": "tcg", "heard": "2026-01-01T00:00:00Z", "ledgerTrouble": "unreachable: nobody answers", "blind": null,
          "workloads": [
            { "agreement": "agr1x", "name": "web", "kind": "container", "agreementStatus": "running", "wished": true, "phase": "running", "pid": 4711, "generation": 2, "failures": 0, "why": null, "nextTry": null },
            { "agreement": "agr1y", "name": "job", "kind": "container", "agreementStatus": "running", "wished": true, "phase": "exited", "pid": null, "generation": 7, "failures": 6, "why": "It ended and was started again.\u001b[2J", "nextTry": "2026-01-01T00:03:32Z" },
            { "agreement": "agr1y", "name": "store", "kind": "volume", "agreementStatus": "running", "wished": true, "phase": "attached", "pid": null, "generation": 0, "failures": 0, "why": null, "nextTry": null }
          ],
          "mechanisms": [ { "name": "containers", "active": "/usr/bin/crun", "why": null }, { "name": "BPF LSM", "active": null, "why": "the kernel has not loaded it; not used" } ],
          "offered": { "cpu": 1750, "memory": 3758096384, "ssd": 107374182400, "hdd": 0, "publicIPv4": 0 }, "held": { "cpu": 500, "memory": 134217728, "ssd": 2147483648, "hdd": 0, "publicIPv4": 0 },
          "receiptsWaiting": 3, "cacheBytes": 1610612736, "broken": "the disk /data errs",
          "strangers": [ { "agreement": "agr1x", "workload": "web", "pid": 4800, "path": "/usr/bin/nc", "found": "2026-01-01T00:00:10Z", "there": false }, { "agreement": "agr1x", "workload": "web", "pid": 4711, "path": "/tmp/\u001b[2J (deleted)", "found": "2026-01-01T00:03:00Z", "there": true } ]
        }
        """;

    [Fact]
    public async Task The_node_of_this_machine_is_read_where_it_writes_it_down()
    {
        using var shell = new TestShell { Time = new Noon() };
        shell.Write("status.json", Status);

        TestShell.IsGolden("node-status.txt", (await shell.RunAsync("node", "status", "--data", shell.Home)).Out);
        var json = await shell.JsonAsync("node", "status", "--data", shell.Home);
        Assert.Equal((210, 4711, "the disk /data errs"), ((int?)json["silentSeconds"], (int?)json["workloads"]![0]!["pid"], (string?)json["drains"]));
        Assert.Contains("receiptsWaiting: 3\n", (await shell.RunAsync("node", "status", "--data", shell.Home, "-o", "yaml")).Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("rubbish")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"node":"node1x","workloads":[{}]}""")]
    public async Task What_is_no_status_is_refused(string? text)
    {
        using var shell = new TestShell();
        if (text is not null)
            shell.Write("status.json", text);
        Assert.Equal(CliCode.FileUnreadable, await shell.RefusedAsync("node", "status", "--data", shell.Home));
    }

    private sealed class Noon : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2026, 1, 1, 0, 3, 30, TimeSpan.Zero);
    }
}
