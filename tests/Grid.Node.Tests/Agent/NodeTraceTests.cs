using System.Diagnostics;
using System.Reflection;
using Grid.Networks;
using Grid.Node.Agent;
using Grid.Reconciliation;
using Grid.Telemetry;
using Grid.Units;
using Grid.Workloads;
using Outcome = Grid.Node.Containers.Outcome;

namespace Grid.Node.Tests.Agent;

public sealed class NodeTraceTests
{
    [Fact]
    public void Without_a_collector_nothing_is_loaded_and_a_step_costs_less_than_a_hundred_bytes()
    {
        Assert.Null(Environment.GetEnvironmentVariable(Collector.Variable));
        Assert.Null(Collector.Connect("grid-node", "node", NodeTrace.Name));
        Assert.DoesNotContain(AppDomain.CurrentDomain.GetAssemblies(), a => a.GetName().Name!.StartsWith("OpenTelemetry", StringComparison.Ordinal));

        var (step, done) = (new Step.Stop(new WorkloadKey(new AgreementId(Digest.Of("a"u8)), "web")), new Outcome.Done());
        Trace(step, done);
        const int Steps = 1000;
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < Steps; i++)
            Trace(step, done);
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / Steps, 0, 100);
        Assert.Null(NodeTrace.Begin("sign receipt", step.Key.Agreement));
    }

    [Fact]
    public void Whatever_is_done_says_for_which_agreement_and_by_a_name_of_its_own()
    {
        var key = new WorkloadKey(new AgreementId(Digest.Of("traced"u8)), "web");
        var steps = Every(key).ToList();
        var spans = new List<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = s => s.Name == NodeTrace.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = s =>
            {
                // Agents of other tests are heard too.
                lock (spans)
                    spans.Add(s);
            },
        };
        ActivitySource.AddActivityListener(listener);
        foreach (var step in steps)
        {
            using var trace = NodeTrace.Begin(step, step.Subject is FlistId ? [key] : []);
            trace.End(new Outcome.Done());
        }
        List<string> told;
        lock (spans)
            told = [.. spans.Where(s => key.Agreement.ToString().Equals(s.GetTagItem(TraceTag.Agreement))).Select(s => s.OperationName)];
        Assert.Equal(steps.Count, told.Count);
        Assert.Equal(steps.Count, told.Distinct().Count());
        Assert.All(told, n => Assert.Matches("^step [a-z]+(-[a-z]+)?$", n));
    }

    /// <summary>One of each kind that there is, about the same workload.</summary>
    private static IEnumerable<Step> Every(WorkloadKey key)
    {
        object? Of(ParameterInfo part) => part.ParameterType switch
        {
            var t when t == typeof(WorkloadKey) => key,
            var t when t == typeof(Wish) => new Wish(key, default, new Volume(key.Name, default, Bytes.MiB(1), Media.Ssd, TimeSpan.Zero), Paused: false),
            var t when t == typeof(TunnelId) => new TunnelId(key.Agreement, new Membership("net", key.Name)),
            var t when t == typeof(StrangerSeen) => new StrangerSeen(key, 1, 1, "/stranger", IsApart: false),
            var t when t == typeof(FlistId) => new FlistId(Digest.Of("flist"u8)),
            var t when t == typeof(long) => 1L,
            var t when t == typeof(string) || t == typeof(Runnable) => null,
            var t => throw new NotSupportedException($"{t}: say here what it may be."),
        };
        return typeof(Step).GetNestedTypes().Where(t => t.IsSubclassOf(typeof(Step)) && !t.IsAbstract)
            .Select(t => (Step)t.GetConstructors().Single().Invoke([.. t.GetConstructors().Single().GetParameters().Select(Of)]));
    }

    private static void Trace(Step step, Outcome outcome)
    {
        using var trace = NodeTrace.Begin(step, []);
        trace.End(outcome);
    }
}
