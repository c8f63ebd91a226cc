using Grid.Agreements;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>What is signed by a digest is what was shown: nothing that has come since, and nothing too late.</summary>
public sealed class MovedPlans(RealLedger real) : Journeys(real)
{
    [Fact]
    public async Task A_plan_does_not_hold_once_something_else_is_in_force()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var yaml = shell.Write("grid.yaml", Draft("forced", farm));
        var id = Id.Parse<AgreementId>(Text(await shell.JsonAsync("apply", yaml, "--yes", "--no-wait"), "agreement"));
        await RunAsync();

        var more = shell.Write("more.yaml", Draft("forced", farm).Replace("memory: 64MiB", "memory: 128MiB", StringComparison.Ordinal));
        var plan = Text(await shell.JsonAsync("plan", shell.Write("grid.yaml", Draft("forced", farm).Replace("cpu: 0.5", "cpu: 1", StringComparison.Ordinal))), "plan");
        await shell.JsonAsync("apply", more, "--yes", "--no-wait");
        await RunAsync();

        // Neither the file nor the offer is another.
        var (code, _, error) = await shell.RunAsync("apply", yaml, "--plan", plan, "--yes", "--no-wait");
        Assert.Equal(Exit.Error, code);
        Assert.Contains("error[plan-moved]: The file, the offers or what is in force changed since the plan", error, StringComparison.Ordinal);
        Assert.Equal((2, "running"), await StandsAsync());
        // What is shown now is signed.
        await shell.JsonAsync("apply", yaml, "--plan", Text(await shell.JsonAsync("plan", yaml), "plan"), "--yes", "--no-wait");
        await RunAsync();
        Assert.Equal((3, "running"), await StandsAsync());

        async Task RunAsync()
        {
            await shell.JsonAsync("agreement", "sign", "forced", "--account", "farmer", "--yes");
            await node.ReadyAsync(id);
            await node.ReceiptAsync(id, WorkloadState.Running);
        }
        async Task<(int, string)> StandsAsync()
        {
            var status = await shell.JsonAsync("status", "forced");
            return (status["version"]!.GetValue<int>(), Text(status, "status"));
        }
    }

    [Fact]
    public async Task A_hub_that_is_away_has_moved_nothing()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var yaml = shell.Write("grid.yaml", Draft("away", farm));
        var plan = Text(await shell.JsonAsync("plan", yaml), "plan");

        shell.Environment["GRID_HUB"] = "http://127.0.0.1:1";
        var (code, _, error) = await shell.RunAsync("apply", yaml, "--plan", plan, "--yes", "--no-wait");
        Assert.Equal(Exit.Error, code);
        Assert.StartsWith("error[hub-unreachable]", error, StringComparison.Ordinal);
        Assert.DoesNotContain("plan-moved", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("account", "not-found")]
    [InlineData("book", "config-invalid")]
    [InlineData("checkpoint", "bad-checkpoint")]
    [InlineData("draft", "file-unreadable")]
    [InlineData("hub", "config-invalid")]
    [InlineData("key", "key-unknown")]
    [InlineData("secret", "missing-field")]
    [InlineData("secrets key", "key-file-invalid")]
    public async Task A_fault_of_this_machine_is_said_as_it_is_without_a_plan(string fault, string code)
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        shell.Environment["API_TOKEN"] = "secret";
        var yaml = shell.Write("grid.yaml", Draft("own", farm) + "    secrets: { TOKEN: { env: API_TOKEN } }\n");
        var plan = Text(await shell.JsonAsync("plan", yaml), "plan");

        switch (fault)
        {
            case "account":
                shell.Environment["GRID_ACCOUNT"] = "nobody";
                break;
            case "book":
                shell.Write("book.json", "{");
                break;
            case "checkpoint":
                File.WriteAllText(Assert.Single(Directory.GetFiles(shell.PathOf("seen"), "*.checkpoint")), "damaged");
                break;
            case "draft":
                File.Delete(yaml);
                break;
            case "hub":
                shell.Environment["GRID_HUB"] = "nowhere";
                break;
            case "key":
                File.Delete(Assert.Single(Directory.GetFiles(shell.PathOf("keys"), "alice*")));
                break;
            case "secret":
                shell.Environment.Remove("API_TOKEN");
                break;
            case "secrets key":
                shell.Write("secrets.key", "short");
                break;
        }
        var (ended, _, error) = await shell.RunAsync("apply", yaml, "--yes", "--no-wait", "--quiet");
        Assert.Equal(Exit.Error, ended);
        Assert.StartsWith($"error[{code}]", error, StringComparison.Ordinal);
        Assert.Equal((ended, "", error), await shell.RunAsync("apply", yaml, "--plan", plan, "--yes", "--no-wait", "--quiet"));
    }

    [Theory]
    [InlineData(9, true)]
    [InlineData(10, false)]
    public async Task A_plan_is_good_until_it_was_to_be_answered(int minutes, bool good)
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        var yaml = shell.Write("grid.yaml", Draft("late", farm));
        var plan = Text(await shell.JsonAsync("plan", yaml), "plan");

        shell.Time = new Ahead(TimeSpan.FromMinutes(minutes));
        var (code, _, error) = await shell.RunAsync("apply", yaml, "--plan", plan, "--yes", "--no-wait");
        Assert.Equal(good ? Exit.Ok : Exit.Error, code);
        if (!good)
            Assert.Contains("error[plan-moved]: The plan was good until", error, StringComparison.Ordinal);
        Assert.Equal(good ? 1 : 0, (await shell.JsonAsync("agreement", "list", "--mine"))["items"]!.AsArray().Count);
    }
}
