namespace Grid;

/// <summary>
/// The names of what spans and measurements are told apart by, the same in every program, so that one id finds all that was done for it. After
/// OpenTelemetry's rules for names. Ids, kinds and codes only: no argument, no environment value, no reason in words.
/// </summary>
public static class TraceTag
{
    /// <summary>agr1…; a list of them where one act serves several agreements, as a mount does.</summary>
    public const string Agreement = "grid.agreement.id";

    public const string Workload = "grid.workload.name";

    public const string WorkloadKind = "grid.workload.kind";

    public const string WorkloadState = "grid.workload.state";

    public const string Statement = "grid.statement.id";

    public const string StatementKind = "grid.statement.kind";

    /// <summary>Where in the log.</summary>
    public const string Index = "grid.log.index";

    public const string Flist = "grid.flist.id";

    public const string Step = "grid.step.kind";

    /// <summary>How it ended, in one word.</summary>
    public const string Outcome = "grid.outcome";

    /// <summary>OpenTelemetry's own: the code of what went wrong; absent when nothing did.</summary>
    public const string Error = "error.type";
}
