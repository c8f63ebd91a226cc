using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Node.Networks;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Agent;

/// <summary>
/// Adds up what workloads use, from the counters of the kernel, and of the gateways' front, at each look, between one receipt and the next. What happened before
/// the first look of this agent is not counted: nobody pays for what was not seen.
/// </summary>
/// <param name="read">the counters of a workload as they stand; null when it has none</param>
internal sealed class Meter(Func<WorkloadKey, Counters?> read, TimeProvider time)
{
    private readonly Dictionary<WorkloadKey, Account> _accounts = [];

    /// <summary>Reads what is there. Called at every look, so that memory is summed over short times.</summary>
    public void Look(Observed observed)
    {
        var now = time.GetTimestamp();
        var counted = observed.Containers.Where(c => c.Value is Sighting<ContainerSeen>.Present).Select(c => c.Key)
            .Concat(observed.Gateways.Where(g => g.Value is Sighting<GatewaySeen>.Present).Select(g => g.Key));
        foreach (var key in counted)
        {
            if (read(key) is { } counters)
                Add(key, counters, now);
        }
        foreach (var (key, sighting) in observed.Volumes)
        {
            if (sighting is Sighting<VolumeSeen>.Present(var seen))
                AccountOf(key).Used = Since(key) with { Disk = seen.Size };
        }
    }

    /// <summary>What it used since the last receipt on it.</summary>
    public Consumption Since(WorkloadKey key) => _accounts.GetValueOrDefault(key)?.Used ?? Consumption.None;

    /// <summary>A receipt says it: the next begins with nothing.</summary>
    public void Begin(AgreementId agreement)
    {
        foreach (var (key, account) in _accounts)
        {
            if (key.Agreement == agreement)
                (account.Used, account.MemoryByteSeconds) = (Consumption.None, account.MemoryByteSeconds % (1 << 20));
        }
    }

    public void Forget(AgreementId agreement)
    {
        foreach (var key in _accounts.Keys.Where(k => k.Agreement == agreement).ToList())
            _accounts.Remove(key);
    }

    private Account AccountOf(WorkloadKey key) => _accounts.TryGetValue(key, out var account) ? account : _accounts[key] = new Account();

    private void Add(WorkloadKey key, Counters counters, long now)
    {
        var account = AccountOf(key);
        if (account.Last is { } last)
        {
            // Memory is what was held at the beginning of the time: what comes and goes between two looks is not seen, and not billed.
            account.MemoryByteSeconds += (Int128)last.Memory.Value * time.GetElapsedTime(account.At, now).Ticks / TimeSpan.TicksPerSecond;
            account.CpuTicks += Growth(last.Cpu.Ticks, counters.Cpu.Ticks);
            account.Used = account.Used with
            {
                CpuMillis = account.Used.CpuMillis + account.CpuTicks / TimeSpan.TicksPerMillisecond,
                MemoryMibSeconds = (long)(account.MemoryByteSeconds >> 20),
            };
            account.CpuTicks %= TimeSpan.TicksPerMillisecond;
        }
        if (counters.Links is { } links)
            Add(account, links);
        (account.Last, account.At) = (counters, now);
    }

    // Each by itself: of two links one may be made anew while the other goes on. What was not read now is remembered: it did not begin anew.
    private static void Add(Account account, ImmutableArray<LinkTraffic> links)
    {
        var known = account.Links ?? links.ToImmutableDictionary(l => l.Name);
        foreach (var link in links)
        {
            var last = known.GetValueOrDefault(link.Name);
            account.Used = account.Used with
            {
                Sent = account.Used.Sent + new Bytes(Growth(last.Sent.Value, link.Sent.Value)),
                Received = account.Used.Received + new Bytes(Growth(last.Received.Value, link.Received.Value)),
            };
        }
        account.Links = known.SetItems(links.Select(l => KeyValuePair.Create(l.Name, l)));
    }

    // A counter that is less than it was began anew, with its cgroup or its link.
    private static long Growth(long before, long after) => after >= before ? after - before : after;

    private sealed class Account
    {
        public Counters? Last { get; set; }

        public long At { get; set; }

        // Null before the first look at them.
        public ImmutableDictionary<string, LinkTraffic>? Links { get; set; }

        public Consumption Used { get; set; }

        // What is less than a unit waits for the next receipt.
        public long CpuTicks { get; set; }

        public Int128 MemoryByteSeconds { get; set; }
    }
}

/// <param name="Cpu">processor time since it began</param>
/// <param name="Memory">held now</param>
/// <param name="Links">those by which it leads to the world; null when they cannot be read</param>
internal sealed record Counters(TimeSpan Cpu, Bytes Memory, ImmutableArray<LinkTraffic>? Links);
