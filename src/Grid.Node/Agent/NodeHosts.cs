using System.Collections.Immutable;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Machines;
using Grid.Node.Secrets;

namespace Grid.Node.Agent;

/// <summary>What this node makes workloads of; null is what it has none of now.</summary>
/// <param name="Hubs">where flists are fetched from</param>
internal sealed record NodeHosts(ContainerHost Containers, NodeSecrets Secrets, NodePaths Paths, ImmutableArray<Uri> Hubs)
{
    public FlistMounts Flists { get; } = new(Paths, Hubs);

    public Tunnels? Tunnels { get; init; }

    public VolumeViews? Volumes { get; init; }

    /// <summary>Why there are no volumes now; those that were there before are not seen.</summary>
    public string? WithoutVolumes { get; init; }

    public MachineHost? Machines { get; init; }

    public GatewayHost? Gateways { get; init; }

    public BoundAddresses? Addresses { get; init; }
}
