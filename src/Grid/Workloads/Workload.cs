using System.Collections.Immutable;
using Grid.Addresses;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;

namespace Grid.Workloads;

/// <summary>One thing an agreement describes. A closed hierarchy: a new kind is a new record, a new CDDL rule and new vectors.</summary>
/// <param name="Name">1–36 of [a-z0-9-], unique in the agreement</param>
public abstract record Workload(string Name)
{
    public abstract string Kind { get; }

    public abstract void Write(CanonicalWriter w);

    internal static Workload ReadAny(CanonicalReader r)
    {
        var bytes = r.Encoded();
        var kind = CanonicalReader.PeekText(bytes, "kind");
        return kind switch
        {
            Container.KindName => CanonicalReader.ReadAll(bytes, Container.Read),
            Machine.KindName => CanonicalReader.ReadAll(bytes, Machine.Read),
            Volume.KindName => CanonicalReader.ReadAll(bytes, Volume.Read),
            Network.KindName => CanonicalReader.ReadAll(bytes, Network.Read),
            Gateway.KindName => CanonicalReader.ReadAll(bytes, Gateway.Read),
            PublicAddress.KindName => CanonicalReader.ReadAll(bytes, PublicAddress.Read),
            _ => throw new StatementFormatException(RefusalCode.UnknownKind, $"The workload kind '{kind}' is not known."),
        };
    }
}

/// <summary>A workload that is on one node.</summary>
/// <param name="Node">where it runs</param>
/// <param name="Networks">its addresses, at most one in each network, sorted by network</param>
public abstract record Placed(string Name, NodeId Node, ImmutableArray<NetworkAddress> Networks) : Workload(Name)
{
    /// <summary>What of the node's capacity it takes while the agreement is in force.</summary>
    public abstract Capacity Demand { get; }
}

/// <summary>A workload that executes something: it is started from an flist, ends, and is started again.</summary>
/// <param name="Flist">its root, read-only; the id of the manifest, a name or tag is refused</param>
/// <param name="Secrets">what only its node can open, sorted by where it is found</param>
public abstract record Runnable(string Name, NodeId Node, FlistId Flist, RestartPolicy Restart, ImmutableArray<Secret> Secrets, ImmutableArray<NetworkAddress> Networks) : Placed(Name, Node, Networks)
{
    /// <summary>As much of what one writes as a node keeps: it lies beside the receipts, the proofs and the flists of all.</summary>
    public static readonly Bytes MostLogs = Bytes.MiB(64);

    /// <summary>How much is kept of what it writes: above zero, at most <see cref="MostLogs"/>.</summary>
    public abstract Bytes Logs { get; init; }

    /// <summary>The names of the volumes that must be there before it starts.</summary>
    public abstract IEnumerable<string> Volumes { get; }

    private protected static FlistId ReadFlist(CanonicalReader m) => m.Field("flist").IsText
        ? throw new StatementFormatException(RefusalCode.MutableReference, $"The flist '{m.Text(1000)}' is a name; only an id says what the files are.")
        : m.Id<FlistId>();
}
