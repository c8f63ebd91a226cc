namespace Grid.Cli;

/// <summary>What the program's exit code says. Scripts rely on it; the codes never change their meaning.</summary>
public static class Exit
{
    /// <summary>Done; for <c>plan</c>: nothing would change.</summary>
    public const int Ok = 0;

    /// <summary>A negative verdict: <c>plan</c> found changes, <c>verify</c> found something that does not hold, an agreement did not come to run.</summary>
    public const int Negative = 1;

    /// <summary>The command line itself is wrong. <c>plan</c> says <see cref="Error"/> instead.</summary>
    public const int Usage = 2;

    /// <summary>Interrupted by ctrl-C, as shells count it (128 + SIGINT).</summary>
    public const int Interrupted = 130;

    /// <summary>Any error: refused, unreachable, unreadable.</summary>
    public const int Error = 255;
}
