using System.Text.Json.Nodes;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>What journeys of user and farmer begin with, by the commands they type, on the real ledger.</summary>
public abstract class Journeys(RealLedger real)
{
    protected static readonly string Flist = new FlistId(Digest.Of("flist"u8)).ToString();

    private static int _count;

    protected RealLedger Real => real;

    private protected async Task<(string Farm, NodeVoice Node)> PartiesAsync(TestShell shell, bool node = true, string offer = Offer)
    {
        var farm = $"farm-{Environment.ProcessId}-{Interlocked.Increment(ref _count)}";
        await shell.JsonAsync("ledger", "trust", Real.Address, "--yes");
        await shell.JsonAsync("key", "new", "alice", "--no-passphrase");
        await shell.JsonAsync("key", "new", "farmer", "--no-passphrase");
        await shell.JsonAsync("account", "open", "alice");
        await shell.JsonAsync("account", "open", "farmer");
        shell.Environment["GRID_ACCOUNT"] = "alice";
        await shell.JsonAsync("farm", "register", farm, "--account", "farmer");
        await shell.JsonAsync("offer", "post", farm, "-f", shell.Write("offer.yaml", offer), "--account", "farmer");
        await shell.JsonAsync("node", "invite", farm, "-f", shell.PathOf("invite.json"), "--account", "farmer");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(shell.PathOf("invite.json")));
        return (farm, node ? await NodeVoice.JoinAsync(shell.PathOf("invite.json")) : null!);
    }

    protected const string Offer = """
        currency: { code: EUR, decimals: 9 }
        prices: { cpu: 3, memory: 7000 }
        kinds: [container]
        ceiling: { cpu: 2, memory: 1GiB }
        notice: 1h
        """;

    protected static string Draft(string name, string node) => $$"""
        name: {{name}}
        node: {{node}}
        term: { until: +24h }
        workloads:
          web:
            kind: container
            flist: {{Flist}}
            entry: /bin/web
            cpu: 0.5
            memory: 64MiB

        """;

    protected static string Text(JsonNode node, string name) => node[name]!.GetValue<string>();

    protected static string[] Texts(JsonNode node) => [.. node.AsArray().Select(n => n!.GetValue<string>())];

    /// <summary>Somebody's clock, by so much ahead of the ledger's.</summary>
    private protected sealed class Ahead(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
