using Grid.Node.Agent;
using Grid.Reconciliation;
using Grid.Telemetry;
using Grid.Units;
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

    private static void Trace(Step step, Outcome outcome)
    {
        using var trace = NodeTrace.Begin(step, []);
        trace.End(outcome);
    }
}
