using Grid.Networks;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Reconciliation;

/// <summary>One thing to do next. Steps may run twice; after each the node looks again.</summary>
public abstract record Step
{
    private Step()
    {
    }

    /// <summary>What it is done to: a workload's key, an flist's id, a tunnel's, or a stranger. At most one step is planned for each, and none begins while another lasts.</summary>
    public abstract object Subject { get; }

    /// <summary>For whoever reads a log: the act, and what it is done to.</summary>
    public sealed override string ToString() => $"{GetType().Name} {Subject}";

    /// <summary>Makes true what an agreement wishes, which is verified once more before it.</summary>
    public abstract record Grant(Wish Wish) : Step
    {
        public sealed override object Subject => Wish.Key;
    }

    /// <summary>Takes back, or holds, what is there of a workload.</summary>
    public abstract record Withdraw(WorkloadKey Key) : Step
    {
        public sealed override object Subject => Key;
    }

    public sealed record MountFlist(FlistId Flist) : Step
    {
        public override object Subject => Flist;
    }

    /// <summary>Only when nothing uses it.</summary>
    public sealed record UnmountFlist(FlistId Flist) : Step
    {
        public override object Subject => Flist;
    }

    /// <summary>Make it, connect it to its networks and start it; its flist is mounted and its volumes are attached.</summary>
    /// <param name="After">why the one before was ended; null when it ended by itself, or there was none</param>
    public sealed record Start(Wish Wish, long Generation, string? After = null) : Grant(Wish);

    /// <summary>End it: a container by TERM, a machine by its power button, and what does not heed that by KILL.</summary>
    /// <param name="Unhealthy">why, when it is its health; that is written on it first, so that it is known for what it was ended</param>
    public sealed record Stop(WorkloadKey Key, string? Unhealthy = null) : Withdraw(Key);

    /// <summary>Remove all that it left: cgroup, mounts, bundle, state. Nothing of it runs.</summary>
    public sealed record Remove(WorkloadKey Key) : Withdraw(Key);

    public sealed record Pause(WorkloadKey Key) : Withdraw(Key);

    public sealed record Resume(WorkloadKey Key) : Withdraw(Key);

    /// <summary>End a process that is in a workload without being of it.</summary>
    public sealed record EndStranger(StrangerSeen Stranger) : Step
    {
        public override object Subject => Stranger;
    }

    /// <summary>Make its tunnels what they should be, while it runs.</summary>
    public sealed record Connect(Wish Wish) : Grant(Wish);

    /// <summary>Tell a machine that runs what its volumes have grown to, and let its processors run.</summary>
    public sealed record Adjust(Wish Wish) : Grant(Wish);

    /// <summary>Remove a tunnel that no workload has.</summary>
    public sealed record Disconnect(TunnelId Tunnel) : Step
    {
        public override object Subject => Tunnel;
    }

    /// <summary>Make it if there is none, attach it, grow it. Data that is there is never made anew.</summary>
    public sealed record MakeVolume(Wish Wish) : Grant(Wish);

    /// <summary>Take it from the kernel, with its key; the data stays.</summary>
    public sealed record DetachVolume(WorkloadKey Key) : Withdraw(Key);

    /// <summary>Destroy its key, then its data.</summary>
    public sealed record DestroyVolume(WorkloadKey Key) : Withdraw(Key);

    /// <summary>Make its place in its network, its route, and what serves it, or make of them what is wished.</summary>
    public sealed record OpenGateway(Wish Wish) : Grant(Wish);

    /// <summary>Take its route away, cut what goes through it, and leave its network.</summary>
    public sealed record CloseGateway(WorkloadKey Key) : Withdraw(Key);

    /// <summary>Give a public address to its workload, which runs, or make of it what is wished.</summary>
    public sealed record BindAddress(Wish Wish, Runnable Holder) : Grant(Wish);

    /// <summary>Take it away, with every route and rule.</summary>
    public sealed record ReleaseAddress(WorkloadKey Key) : Withdraw(Key);
}
