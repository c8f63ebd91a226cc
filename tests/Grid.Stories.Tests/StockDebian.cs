using System.Text.Json;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>
/// The newcomer's own machine. Debian 12 as it is installed differs from what the other stories run on: Linux 6.1, whose FUSE neither maps ids nor passes files
/// through nor asks again after a daemon's end, whose tmpfs cannot be kept from the swap, and whose WireGuard is its own; systemd, and its one tree of control groups.
/// </summary>
[Collection("one at a time")]
public sealed class StockDebian
{
    [Fact]
    public async Task Up_once_is_done_on_Debians_own_kernel()
    {
        using var machine = await DebianMachine.MakeAsync($"{DebianMachine.Installed}/grid-cli up --once -o json");
        var (output, after, console) = await machine.RunAsync();
        Assert.True(after is ["exit 0", ..], $"{string.Join('\n', after)}\n{output}\n{console}");
        Assert.StartsWith("6.1.", after[1], StringComparison.Ordinal);
        Assert.Equal([], after[2..]);
        using var document = JsonDocument.Parse(output);
        UpOnce.IsDone(document.RootElement);
    }
}
