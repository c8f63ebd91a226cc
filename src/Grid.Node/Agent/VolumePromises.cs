using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Agent;

/// <summary>The volumes that have to be on this node, or to come to be there.</summary>
internal static class VolumePromises
{
    /// <summary>The versions of an agreement that a node has to keep: those that it said it was ready for.</summary>
    public static IEnumerable<(AgreementId, AgreementTerms)> Of(Agreement agreement, NodeId node)
    {
        if (agreement.IsInForce || agreement is Agreement.Agreed first && first.ReadyNodes.Contains(node))
            yield return (agreement.Id, agreement.Version.Terms);
        if (agreement.Next is Amendment.Agreed next && next.ReadyNodes.Contains(node))
            yield return (agreement.Id, next.Version.Terms);
    }

    /// <summary>Each as large as the largest that is promised.</summary>
    public static ImmutableDictionary<WorkloadKey, Volume> Of(IEnumerable<(AgreementId Agreement, AgreementTerms Terms)> versions, NodeId node) => versions
        .SelectMany(v => v.Terms.On(node).OfType<Volume>(), (v, volume) => (Key: new WorkloadKey(v.Agreement, volume.Name), Volume: volume))
        .GroupBy(v => v.Key, v => v.Volume).ToImmutableDictionary(g => g.Key, g => g.MaxBy(v => v.Size)!);
}
