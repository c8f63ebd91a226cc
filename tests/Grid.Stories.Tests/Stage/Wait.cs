using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Grid.Stories.Tests.Stage;

/// <summary>Waits for something to become true, by asking again; says what it waited for when it gives up.</summary>
public static class Wait
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Between = TimeSpan.FromMilliseconds(25);

    public static async Task<T> ForAsync<T>(string what, Func<Task<T?>> ask, Func<string>? logs = null) where T : class
    {
        for (var watch = Stopwatch.StartNew(); watch.Elapsed < Patience; await Task.Delay(Between))
        {
            if (await ask() is { } found)
                return found;
        }
        Assert.Fail($"Waited {Patience.TotalSeconds} s for {what}.\n{logs?.Invoke()}");
        throw new UnreachableException();
    }

    public static Task ForAsync(string what, Func<bool> ask, Func<string>? logs = null) =>
        ForAsync<object>(what, () => Task.FromResult<object?>(ask() ? "yes" : null), logs);
}

/// <summary>signal.h, sys/mount.h</summary>
public static partial class Posix
{
    private const int SIGKILL = 9, MNT_DETACH = 2;

    public static void Kill(int pid) => _ = kill(pid, SIGKILL);

    /// <summary>umount2(2) with MNT_DETACH: at once, whoever still uses it.</summary>
    public static void Detach(string mount) => _ = umount2(mount, MNT_DETACH);

    [LibraryImport("libc")]
    private static partial int kill(int pid, int signal);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string target, int flags);
}
