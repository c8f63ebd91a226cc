using System.Runtime.InteropServices;

namespace Grid.Cli;

/// <summary>
/// Ctrl-C and SIGTERM as the cancellation of a command. Heard from before its first step on: the library listens only once a command waits for
/// something, and what was started until then would be left behind.
/// </summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _cancel;
    private readonly TaskCompletionSource _heard = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly PosixSignalRegistration[] _signals;

    /// <param name="outer">cancels as well, and waits for the command however long it takes</param>
    public Interruption(CancellationToken outer)
    {
        _cancel = CancellationTokenSource.CreateLinkedTokenSource(outer);
        _signals = [PosixSignalRegistration.Create(PosixSignal.SIGINT, Hear), PosixSignalRegistration.Create(PosixSignal.SIGTERM, Hear)];
    }

    public CancellationToken Token => _cancel.Token;

    /// <summary>How the command ends; one that was told to, and has not after so long, is left as it is.</summary>
    public async Task<int> EndAsync(Task<int> command, TimeSpan patience)
    {
        await Task.WhenAny(command, _heard.Task).ConfigureAwait(false);
        try
        {
            return await command.WaitAsync(_heard.Task.IsCompleted ? patience : Timeout.InfiniteTimeSpan, CancellationToken.None).ConfigureAwait(false);
        }
        catch (TimeoutException) when (!command.IsCompleted)
        {
            return Exit.Interrupted;
        }
    }

    public void Dispose()
    {
        foreach (var signal in _signals)
            signal.Dispose();
        _cancel.Dispose();
    }

    private void Hear(PosixSignalContext signal)
    {
        signal.Cancel = true;
        _cancel.Cancel();
        _heard.TrySetResult();
    }
}
