using Grid.Agreements;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>Accounts of several keys, and the drafts that wait for them.</summary>
public sealed class KeyJourneys(RealLedger real) : Journeys(real)
{
    [Fact]
    public async Task An_account_of_two_keys_signs_by_drafts()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        await OpenBothAsync(shell);
        var yaml = shell.Write("grid.yaml", Draft("half", farm));

        string[] other = ["--account", "both", "--key", "second"];

        var (refused, _, why) = await shell.RunAsync("apply", yaml, "--account", "both", "--key", "first", "--yes", "--no-wait");
        Assert.Equal(Exit.Error, refused);
        Assert.Contains("2 of the 2 keys of the user", why, StringComparison.Ordinal);
        Assert.Contains("must sign; 1 did.", why, StringComparison.Ordinal);
        Assert.Contains("--draft", why, StringComparison.Ordinal);
        Assert.DoesNotContain("Next: ", why, StringComparison.Ordinal);
        Assert.Contains("\nNext: grid apply --plan st1", (await shell.RunAsync("plan", yaml, "--account", "both")).Out, StringComparison.Ordinal);
        Assert.DoesNotContain("Next: ", (await shell.RunAsync("plan", yaml, "--account", "both", "--quiet")).Out, StringComparison.Ordinal);
        Assert.Equal("no drafts wait where 'both' has a say\n", (await shell.RunAsync(["agreement", "drafts", .. other])).Out);
        var draft = Text(await shell.JsonAsync("apply", yaml, "--account", "both", "--key", "first", "--yes", "--draft"), "draft");
        var item = Assert.Single((await shell.JsonAsync(["agreement", "drafts", .. other]))["items"]!.AsArray())!;
        Assert.Equal((draft, "agreement", 1, 2, false), (Text(item, "id"), Text(item, "kind"), item["signatures"]!.GetValue<int>(), item["threshold"]!.GetValue<int>(), item["signed"]!.GetValue<bool>()));
        Assert.True((await shell.JsonAsync("agreement", "drafts", "--account", "both", "--key", "first"))["items"]![0]!["signed"]!.GetValue<bool>());
        var listed = (await shell.RunAsync(["agreement", "drafts", .. other])).Out;
        Assert.Contains($"{draft}  new agreement: web  both  1 of 2      missing  ", listed, StringComparison.Ordinal);
        Assert.Contains($"Next: grid agreement sign {draft}", listed, StringComparison.Ordinal);
        shell.Environment["GRID_ACCOUNT"] = "both";
        var line = $"grid agreement sign {draft[..6]}";
        Assert.Contains(draft, (await shell.RunAsync($"[suggest:{line.Length}]", line)).Out, StringComparison.Ordinal);

        var (code, text, told) = await shell.RunAsync("agreement", "sign", draft, "--account", "both", "--key", "second", "--yes");
        Assert.Equal(Exit.Ok, code);
        Assert.Contains("agreement.proposed", text, StringComparison.Ordinal);
        Assert.Contains("version: 1\namends: null\n", told, StringComparison.Ordinal);
        Assert.DoesNotContain(" | ", told, StringComparison.Ordinal);
        Assert.Empty((await shell.JsonAsync(["agreement", "drafts", .. other]))["items"]!.AsArray());
    }

    [Fact]
    public async Task A_draft_has_the_name_of_its_file_until_it_is_recorded_or_over()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        await OpenBothAsync(shell);
        shell.Environment["GRID_ACCOUNT"] = "both";
        var yaml = shell.Write("grid.yaml", Draft("half", farm));
        async Task<string> LaidAsync(string key) => Text(await shell.JsonAsync("apply", yaml, "--key", key, "--yes", "--draft"), "draft");
        async Task<string?> NamedAsync() => (await shell.JsonAsync("status"))["items"]!.AsArray().SingleOrDefault() is { } item ? $"{Text(item, "name")} {Text(item, "status")}" : null;

        // Over: the name is free, and the file makes another.
        var lapsed = await LaidAsync("first");
        var clock = shell.Time;
        shell.Time = new Ahead(TimeSpan.FromDays(8));
        Assert.Null((await shell.JsonAsync("plan", yaml))["draft"]);
        Assert.DoesNotContain(lapsed, File.ReadAllText(shell.PathOf("book.json")), StringComparison.Ordinal);
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("status", "half"));
        shell.Time = clock;

        // It waits: the same file is that draft, whoever plans or lays it down again; another file is refused.
        yaml = shell.Write("grid.yaml", Draft("half", farm).Replace("0.5", "0.4", StringComparison.Ordinal));
        var draft = await LaidAsync("first");
        Assert.NotEqual(lapsed, draft);
        Assert.Equal((draft, draft), await shell.JsonAsync("plan", yaml) is var plan ? (Text(plan, "plan"), Text(plan, "draft")) : default);
        var shown = (await shell.RunAsync("plan", yaml)).Out;
        Assert.Contains("draft:      laid down with 1 signature; waits for the account's other keys", shown, StringComparison.Ordinal);
        Assert.Contains($"Next: grid agreement sign {draft}", shown, StringComparison.Ordinal);
        Assert.Equal(draft, await LaidAsync("first"));
        Assert.Equal(RefusalCode.SignatureMissing, await shell.RefusedAsync("apply", yaml, "--key", "first", "--yes", "--no-wait"));
        var other = shell.Write("other.yaml", Draft("half", farm));
        Assert.Equal(CliCode.DraftWaits, await shell.RefusedAsync("plan", other));
        Assert.Equal(CliCode.DraftWaits, await shell.RefusedAsync("apply", other, "--key", "second", "--yes", "--draft"));
        Assert.Equal(CliCode.DraftWaits, await shell.RefusedAsync("status", "half"));
        Assert.Contains(draft, (await shell.RunAsync("status")).Out, StringComparison.Ordinal);
        Assert.Equal("half draft", await NamedAsync());
        Assert.Single((await shell.JsonAsync("agreement", "drafts"))["items"]!.AsArray(), d => Text(d!, "id") == draft);

        // Recorded, by whichever way: the agreement of that name.
        await shell.JsonAsync("agreement", "sign", draft, "--key", "second", "--yes");
        var id = new AgreementId(Id.Parse<StatementId>(draft).Value).ToString();
        Assert.Equal((id, "proposed"), await shell.JsonAsync("status", "half") is var status ? (Text(status, "agreement"), Text(status, "status")) : default);
        Assert.Equal("half proposed", await NamedAsync());
        var (code, text, _) = await shell.RunAsync("plan", yaml);
        Assert.Equal(Exit.Ok, code);
        Assert.Contains("just this was proposed", text, StringComparison.Ordinal);
        Assert.DoesNotContain("\"until\"", File.ReadAllText(shell.PathOf("book.json")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_missing_key_makes_an_agreement_of_the_draft_by_the_same_file()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        await OpenBothAsync(shell);
        shell.Environment["GRID_ACCOUNT"] = "both";
        var yaml = shell.Write("grid.yaml", Draft("whole", farm));

        var draft = Text(await shell.JsonAsync("apply", yaml, "--key", "first", "--yes", "--draft"), "draft");
        var applied = await shell.JsonAsync("apply", yaml, "--key", "second", "--yes", "--no-wait");
        Assert.Equal((draft, new AgreementId(Id.Parse<StatementId>(draft).Value).ToString()), (Text(applied, "plan"), Text(applied, "agreement")));
        await shell.JsonAsync("agreement", "countersign", "whole", "--account", "farmer", "--yes");
        await node.ReadyAsync(Id.Parse<AgreementId>(Text(applied, "agreement")));
        await node.ReceiptAsync(Id.Parse<AgreementId>(Text(applied, "agreement")), WorkloadState.Running);

        // An amendment waits under the name as a first version does, and harms nothing of what is in force.
        shell.Write("grid.yaml", Draft("whole", farm).Replace("0.5", "0.4", StringComparison.Ordinal));
        var amendment = Text(await shell.JsonAsync("apply", yaml, "--key", "first", "--yes", "--draft"), "draft");
        Assert.Equal(amendment, Text(await shell.JsonAsync("plan", yaml), "draft"));
        Assert.Equal(amendment, Text(await shell.JsonAsync("apply", yaml, "--key", "second", "--yes", "--no-wait"), "plan"));
        Assert.Equal((1, amendment), await shell.JsonAsync("status", "whole") is var status ? (status["version"]!.GetValue<int>(), Text(status, "amendment")) : default);
    }

    [Fact]
    public async Task Keys_are_replaced_and_the_old_ones_sign_no_more()
    {
        using var shell = new TestShell();
        await PartiesAsync(shell, node: false);
        await shell.JsonAsync("key", "new", "newer", "--no-passphrase");
        await shell.JsonAsync("account", "rekey", "--account", "farmer", "--keys", "newer");

        Assert.Equal(RefusalCode.StrangerSigned, await shell.RefusedAsync("farm", "register", $"late-{Guid.NewGuid():n}", "--account", "farmer", "--key", "farmer"));
        await shell.JsonAsync("farm", "register", $"late-{Guid.NewGuid():n}"[..20], "--account", "farmer");
        Assert.Equal("1", (await shell.JsonAsync("account", "show", "farmer"))["account"]!["threshold"]!.ToJsonString());
    }

    /// <summary>The account "both", for which "first" and "second" must sign.</summary>
    private static async Task OpenBothAsync(TestShell shell)
    {
        await shell.JsonAsync("key", "new", "first", "--no-passphrase");
        await shell.JsonAsync("key", "new", "second", "--no-passphrase");
        await shell.JsonAsync("account", "open", "both", "--keys", "first", "second", "--threshold", "2");
    }
}
