using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Bench.Node;

/// <summary>A node that runs exactly what is wished, of which there is much: how long it takes to see that there is nothing to do.</summary>
internal static class Plans
{
    private const int Workloads = 10_000, Agreements = 1_000, Flists = 20;
    private const int Warm = 40, Rounds = 100;

    /// <returns>milliseconds of each plan, and of each making of the wishes before it</returns>
    public static (List<double> Plan, List<double> Wishes) Measure(Container pattern)
    {
        var containers = Enumerable.Range(0, Workloads).Select(i => (
            new WorkloadKey(new AgreementId(Name("agreement", i % Agreements)), $"w-{i:d5}"),
            pattern with { Name = $"w-{i:d5}", Flist = new FlistId(Name("flist", i % Flists)) })).ToList();
        var desired = Wish(containers);
        var observed = Observed.Nothing with
        {
            Containers = desired.Wishes.ToImmutableSortedDictionary(w => w.Key, w => (Sighting<ContainerSeen>)new Sighting<ContainerSeen>.Present(
                new ContainerSeen(w.Value.Spec, ((Container)w.Value.Workload).Flist, 1, ContainerPhase.Running))),
            Flists = containers.Select(c => c.Item2.Flist).Distinct().ToImmutableDictionary(f => f, _ => (Sighting<FlistSeen>)new Sighting<FlistSeen>.Present(new FlistSeen(Serving: true))),
        };
        var (plan, wishes) = (new List<double>(), new List<double>());
        var now = DateTimeOffset.UtcNow;
        for (var round = 0; round < Warm + Rounds; round++)
        {
            var began = Stopwatch.GetTimestamp();
            var steps = Reconciler.Plan(desired, observed, now);
            var planned = Stopwatch.GetTimestamp();
            desired = Wish(containers);
            var made = Stopwatch.GetTimestamp();
            if (!steps.IsEmpty)
                throw new InvalidOperationException($"There should be nothing to do: {steps[0]}");
            if (round < Warm)
                continue;
            plan.Add(Stopwatch.GetElapsedTime(began, planned).TotalMilliseconds);
            wishes.Add(Stopwatch.GetElapsedTime(planned, made).TotalMilliseconds);
        }
        return (plan, wishes);
    }

    private static Desired Wish(List<(WorkloadKey Key, Container Container)> containers)
    {
        var wishes = ImmutableSortedDictionary.CreateBuilder<WorkloadKey, Wish>();
        foreach (var (key, container) in containers)
            wishes.Add(key, new Wish(key, new StatementId(key.Agreement.Value), container, Paused: false));
        return Desired.Nothing with { Wishes = wishes.ToImmutable(), Settled = [.. containers.Select(c => c.Key.Agreement)] };
    }

    private static Digest Name(string kind, int number) => Digest.Of(System.Text.Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{kind} {number}")));
}
