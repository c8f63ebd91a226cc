using System.Threading.Channels;

namespace Grid.Node.Agent;

/// <summary>Wakes one that waits, or will wait; rung many times meanwhile, it wakes once.</summary>
internal sealed class Bell
{
    private readonly Channel<bool> _rung = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public void Ring() => _rung.Writer.TryWrite(true);

    public async Task WaitAsync(CancellationToken cancel) => await _rung.Reader.ReadAsync(cancel);
}
