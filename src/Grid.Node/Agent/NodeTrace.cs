using System.Diagnostics;
using System.Diagnostics.Metrics;
using Grid.Networks;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;
using Outcome = Grid.Node.Containers.Outcome;

namespace Grid.Node.Agent;

/// <summary>What the agent does, as spans and durations. Costs nothing while nobody listens.</summary>
internal static class NodeTrace
{
    public const string Name = "grid.node";

    public static readonly System.Diagnostics.Metrics.Meter Meter = new(Name);

    private static readonly ActivitySource Source = new(Name);

    /// <summary>What its measurements are told apart by. The agreement is on the examples alone: as many series as agreements are no picture.</summary>
    public static readonly (string Instrument, string[] Dimensions) Steps = ("grid.node.step.duration", [TraceTag.Step, TraceTag.Outcome]);

    private static readonly Histogram<double> StepDuration = Meter.CreateHistogram(Steps.Instrument, "s", "Steps of the reconciler, by kind and outcome.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120] });

    public static Activity? Begin(string name, AgreementId agreement) => Source.StartActivity(name)?.SetTag(TraceTag.Agreement, agreement.ToString());

    /// <param name="users">the workloads that it is for when it is done to an flist; of everything else the agreement is known by its name</param>
    public static StepTrace Begin(Step step, IEnumerable<WorkloadKey> users)
    {
        var kind = KindOf(step);
        var span = Source.HasListeners() ? Source.StartActivity($"step {kind}") : null;
        string[] agreements = span is not null || StepDuration.Enabled ? [.. AgreementsOf(step, users).Distinct().Select(a => a.ToString())] : [];
        object? whose = agreements is [] ? null : agreements is [var only] ? only : agreements;
        if (span is { IsAllDataRequested: true })
        {
            if (whose is not null)
                span.SetTag(TraceTag.Agreement, whose);
            if (step.Subject is WorkloadKey key)
                span.SetTag(TraceTag.Workload, key.Name);
            if (step is Step.Grant grant)
                span.SetTag(TraceTag.WorkloadKind, grant.Wish.Workload.Kind);
            if ((step.Subject is FlistId flist ? flist : ((step as Step.Start)?.Wish.Workload as Runnable)?.Flist) is { } files)
                span.SetTag(TraceTag.Flist, files.ToString());
            span.SetTag(TraceTag.Step, kind);
        }
        return new StepTrace(span, kind, whose);
    }

    /// <summary>One step's span and its duration. Ended by <see cref="Dispose"/>; without <see cref="End"/> before it, something was thrown.</summary>
    internal sealed class StepTrace(Activity? span, string kind, object? whose) : IDisposable
    {
        private readonly long _started = Stopwatch.GetTimestamp();
        private string _outcome = "failed";
        private string? _error = "exception";

        public void End(Outcome outcome) => (_outcome, _error) = outcome switch
        {
            Outcome.Done => ("done", null),
            Outcome.Transient => ("transient", "transient"),
            Outcome.Refused refused => ("refused", refused.Refusal.Code),
            _ => ("broken", "broken"),
        };

        public void Dispose()
        {
            span?.SetTag(TraceTag.Outcome, _outcome);
            if (_error is not null)
                span?.SetTag(TraceTag.Error, _error).SetStatus(ActivityStatusCode.Error);
            // While the span is the current one: an example of the measurements leads to it.
            if (StepDuration.Enabled)
                StepDuration.Record(Stopwatch.GetElapsedTime(_started).TotalSeconds, new(TraceTag.Step, kind), new(TraceTag.Outcome, _outcome), new(TraceTag.Agreement, whose));
            span?.Dispose();
        }
    }

    private static IEnumerable<AgreementId> AgreementsOf(Step step, IEnumerable<WorkloadKey> users) => step.Subject switch
    {
        WorkloadKey key => [key.Agreement],
        TunnelId tunnel => [tunnel.Agreement],
        StrangerSeen stranger => [stranger.Workload.Agreement],
        FlistId => users.Select(k => k.Agreement),
        _ => throw new UnreachableException(step.ToString()),
    };

    private static string KindOf(Step step) => step switch
    {
        Step.MountFlist => "mount-flist",
        Step.UnmountFlist => "unmount-flist",
        Step.Start => "start",
        Step.Stop => "stop",
        Step.Remove => "remove",
        Step.Pause => "pause",
        Step.Resume => "resume",
        Step.EndStranger => "end-stranger",
        Step.Connect => "connect",
        Step.Adjust => "adjust",
        Step.Disconnect => "disconnect",
        Step.MakeVolume => "make-volume",
        Step.DetachVolume => "detach-volume",
        Step.DestroyVolume => "destroy-volume",
        Step.OpenGateway => "open-gateway",
        Step.CloseGateway => "close-gateway",
        Step.BindAddress => "bind-address",
        Step.ReleaseAddress => "release-address",
        _ => throw new UnreachableException(step.ToString()),
    };
}
