using Grid.Agreements;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>Who waits at a terminal sees one picture that changes, and in the end what a file would get.</summary>
public sealed class LiveApply(RealLedger real) : Journeys(real)
{
    [Fact]
    public async Task Apply_shows_each_state_in_its_place_and_then_how_it_stands()
    {
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        using var apply = new TerminalSession(shell, "apply", shell.Write("grid.yaml", Draft("live", farm)), "--yes", "--account", "alice");
        await apply.UntilAsync("live: proposed");
        await apply.UntilAsync($"waits for signature of farm {farm}");
        var id = Id.Parse<AgreementId>(Text(await shell.JsonAsync("status", "live"), "agreement"));
        await shell.JsonAsync("agreement", "sign", "live", "--account", "farmer", "--yes");
        await apply.UntilAsync("live: agreed");
        await node.ReadyAsync(id);
        await apply.UntilAsync("live: ready");
        await node.ReceiptAsync(id, WorkloadState.Starting);
        await apply.UntilAsync("starting");
        await node.ReceiptAsync(id, WorkloadState.Running);
        var shown = await apply.EndAsync();

        // Each picture over the one before, without a cursor; over the last nothing, and then the table that stays.
        var live = shown.LastIndexOf("live: ready", StringComparison.Ordinal);
        Assert.Contains("\e[2K", shown[live..], StringComparison.Ordinal);
        Assert.Equal("\e[?25h", shown[shown.LastIndexOf("\e[?25", StringComparison.Ordinal)..][..6]);
        Assert.Matches("status: +running", shown[live..]);
        Assert.Matches("web +container +running", shown[live..]);
    }
}
