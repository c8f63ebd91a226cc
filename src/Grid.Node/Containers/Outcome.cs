namespace Grid.Node.Containers;

/// <summary>How an effect ended. Nobody is told more than this: what is there now is what the next look says.</summary>
public abstract record Outcome
{
    private Outcome()
    {
    }

    /// <summary>It is so now, whether or not anything had to be done.</summary>
    public sealed record Done : Outcome;

    /// <summary>The same step may succeed later; what was half made is found and finished or removed.</summary>
    public sealed record Transient(string Why) : Outcome;

    /// <summary>Never possible as asked; waits for an amendment.</summary>
    /// <param name="MayPass">what was looked at may itself have failed, a mount for one, or others may mend it: then it is tried again</param>
    public sealed record Refused(Refusal Refusal, bool MayPass = false) : Outcome;

    /// <summary>This machine cannot run containers as promised; it should drain.</summary>
    public sealed record Broken(string Why) : Outcome;
}
