using System.Collections.Concurrent;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Workloads;

namespace Grid.Node.Networks;

/// <summary>
/// Which of a node's tunnels have a way out besides. The interface of a tunnel goes with its container, and its process with the interface; the rules of its
/// way out do not, so who has one is remembered.
/// </summary>
/// <param name="inNode">a process in the node's namespace</param>
internal sealed class WaysOut(NetworkNamespace node, int inNode, string scope)
{
    private readonly NatEgress _egress = new(node, scope);
    private readonly ConcurrentDictionary<TunnelId, bool> _known = new();

    /// <summary>Takes away what containers left that ended while no agent was there. Where that cannot be told now, the next that gets a way out tells.</summary>
    public void Sweep()
    {
        try
        {
            _egress.Sweep();
        }
        catch (Exception e) when (Effect.IsOfTheMachine(e))
        {
        }
    }

    public IEnumerable<TunnelId> Of(ContainerId container) => _known.Keys.Where(t => t.Agreement == container.Agreement && t.Of.Workload == container.Workload);

    /// <summary>What its end in the container's namespace is called.</summary>
    public string NameOf(TunnelId id) => _egress.Inside(id);

    /// <summary>What its links tell, which cost nothing to look at.</summary>
    /// <param name="init">a process in the namespace that has the tunnel</param>
    /// <returns>null when it is half made, or half gone</returns>
    public Egress? Of(TunnelId id, ProcessIdentity init) => _egress.Of(id, inNode, init);

    /// <summary>Links alone are no way out: what flushed the node's rules took the way with them. One nft(8) when any tunnel is linked.</summary>
    public void Confirm(Dictionary<TunnelId, TunnelSighting> seen)
    {
        var linked = seen.Where(s => s.Value is TunnelSighting.Present { Egress: not Egress.None }).ToList();
        if (linked.Count == 0)
            return;
        foreach (var (id, _) in linked)
            _known[id] = true;
        IReadOnlySet<string>? passing = null;
        var why = "";
        try
        {
            passing = _egress.Passing();
        }
        catch (Exception e) when (Effect.IsOfTheMachine(e))
        {
            why = e.Message;
        }
        foreach (var (id, sighting) in linked)
            seen[id] = passing is null ? new TunnelSighting.Unknown(why) : (TunnelSighting.Present)sighting is var present && passing.Contains(_egress.Outside(id)) ? present : present with { Egress = null };
    }

    /// <exception cref="IOException">a step failed; what was made is found by the next</exception>
    public void Apply(TunnelId id, Egress egress, ProcessIdentity init, NetworkNamespace inside)
    {
        if (egress is Egress.None)
        {
            if (NamespaceView.Has(inNode, _egress.Outside(id)))
                Close(id);
        }
        else if (_egress.Of(id, inNode, init) is not Egress.Nat || !_egress.Passing().Contains(_egress.Outside(id)))
        {
            _known[id] = true;
            _egress.Open(id, inside);
        }
    }

    /// <exception cref="IOException">a step failed; it is still known, and closed by the next</exception>
    public void Close(TunnelId id)
    {
        _egress.Close(id);
        _known.TryRemove(id, out _);
    }
}
