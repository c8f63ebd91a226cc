using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Node.Networks;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Agent;

/// <summary>
/// Adds up what workloads use, from the counters of the kernel, and of the gateways' front, at each look, between one receipt and the next. What happened before
/// the first look at a workload is not counted, nor the memory that was held while no agent looked: nobody pays for what was not seen.
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
        var there = new HashSet<WorkloadKey>();
        foreach (var key in counted)
        {
            if (read(key) is { } counters && there.Add(key))
                Add(key, counters, now);
        }
        // What is not there holds nothing.
        foreach (var (_, account) in _accounts.Where(a => !there.Contains(a.Key)))
            account.Held = null;
        foreach (var (key, sighting) in observed.Volumes)
        {
            if (sighting is Sighting<VolumeSeen>.Present(var seen))
                AccountOf(key).Disk = seen.Size;
        }
    }

    /// <summary>What it used since the last receipt on it.</summary>
    public Consumption Since(WorkloadKey key) => _accounts.GetValueOrDefault(key)?.Used ?? Consumption.None;

    /// <summary>A receipt says it: the next begins with nothing, but for what was less than a unit.</summary>
    public void Begin(AgreementId agreement)
    {
        foreach (var (key, account) in _accounts)
        {
            if (key.Agreement == agreement)
                account.Begin();
        }
    }

    public void Forget(AgreementId agreement)
    {
        foreach (var key in _accounts.Keys.Where(k => k.Agreement == agreement).ToList())
            _accounts.Remove(key);
    }

    /// <summary>What the next agent goes on from.</summary>
    public ImmutableArray<CountedWorkload> Counted() => [.. _accounts.Select(a => new CountedWorkload(
        a.Key.Agreement.ToString(), a.Key.Name, a.Value.Cpu?.Ticks, a.Value.Links is { } links ? [.. links.Values.Select(l => new CountedLink(l.Name, l.Sent.Value, l.Received.Value))] : null,
        a.Value.CpuTicks, long.CreateSaturating(a.Value.MemoryByteSeconds), a.Value.Sent.Value, a.Value.Received.Value))];

    /// <summary>Goes on from where an agent before this one left off.</summary>
    public void Restore(IEnumerable<CountedWorkload> counted)
    {
        foreach (var c in counted)
        {
            if (Id.TryParse<AgreementId>(c.Agreement, out var agreement))
                _accounts[new WorkloadKey(agreement, c.Workload)] = new Account
                {
                    Cpu = c.Cpu is { } cpu ? TimeSpan.FromTicks(cpu) : null,
                    Links = c.Links?.ToImmutableDictionary(l => l.Name, l => new LinkTraffic(l.Name, new Bytes(l.Sent), new Bytes(l.Received))),
                    CpuTicks = c.UsedCpu,
                    MemoryByteSeconds = c.UsedMemory,
                    Sent = new Bytes(c.Sent),
                    Received = new Bytes(c.Received),
                };
        }
    }

    private Account AccountOf(WorkloadKey key) => _accounts.TryGetValue(key, out var account) ? account : _accounts[key] = new Account();

    private void Add(WorkloadKey key, Counters counters, long now)
    {
        var account = AccountOf(key);
        if (account.Cpu is { } cpu)
            account.CpuTicks += Growth(cpu.Ticks, counters.Cpu.Ticks);
        // Memory is what was held at the beginning of the time: what comes and goes between two looks is not seen, and not billed.
        if (account.Held is var (memory, at))
            account.MemoryByteSeconds += (Int128)memory.Value * time.GetElapsedTime(at, now).Ticks / TimeSpan.TicksPerSecond;
        if (counters.Links is { } links)
            Add(account, links);
        (account.Cpu, account.Held) = (counters.Cpu, (counters.Memory, now));
    }

    // Each by itself: of two links one may be made anew while the other goes on. What was not read now is remembered: it did not begin anew.
    private static void Add(Account account, ImmutableArray<LinkTraffic> links)
    {
        var known = account.Links ?? links.ToImmutableDictionary(l => l.Name);
        foreach (var link in links)
        {
            var last = known.GetValueOrDefault(link.Name);
            account.Sent += new Bytes(Growth(last.Sent.Value, link.Sent.Value));
            account.Received += new Bytes(Growth(last.Received.Value, link.Received.Value));
        }
        account.Links = known.SetItems(links.Select(l => KeyValuePair.Create(l.Name, l)));
    }

    // A counter that is less than it was began anew, with its cgroup or its link.
    private static long Growth(long before, long after) => after >= before ? after - before : after;

    private sealed class Account
    {
        // As it was read last; null before the first look.
        public TimeSpan? Cpu { get; set; }

        // Null before the first look of this agent, and while it is not there.
        public (Bytes Memory, long At)? Held { get; set; }

        // Null before the first look at them.
        public ImmutableDictionary<string, LinkTraffic>? Links { get; set; }

        // Since the last receipt, with what was less than a unit of it.
        public long CpuTicks { get; set; }

        public Int128 MemoryByteSeconds { get; set; }

        public Bytes Disk { get; set; }

        public Bytes Sent { get; set; }

        public Bytes Received { get; set; }

        public Consumption Used => new(CpuTicks / TimeSpan.TicksPerMillisecond, (long)(MemoryByteSeconds >> 20), Disk, Sent, Received);

        public void Begin() => (CpuTicks, MemoryByteSeconds, Disk, Sent, Received) = (CpuTicks % TimeSpan.TicksPerMillisecond, MemoryByteSeconds % (1 << 20), Bytes.Zero, Bytes.Zero, Bytes.Zero);
    }
}

/// <param name="Cpu">processor time since it began</param>
/// <param name="Memory">held now</param>
/// <param name="Links">those by which it leads to the world; null when they cannot be read</param>
internal sealed record Counters(TimeSpan Cpu, Bytes Memory, ImmutableArray<LinkTraffic>? Links);
