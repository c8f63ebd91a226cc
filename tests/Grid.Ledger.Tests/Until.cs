namespace Grid.Ledger.Tests;

/// <summary>Waits for a condition, with a deadline; the one place where a test waits.</summary>
internal static class Until
{
    public static Task True(Func<bool> condition, CancellationToken stop) => True(() => Task.FromResult(condition()), stop);

    public static async Task True(Func<Task<bool>> condition, CancellationToken stop)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(stop);
        deadline.CancelAfter(TimeSpan.FromSeconds(60));
        while (!await condition())
            await timer.WaitForNextTickAsync(deadline.Token);
    }
}
