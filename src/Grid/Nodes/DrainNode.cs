using Grid.Statements;
using Grid.Units;

namespace Grid.Nodes;

/// <summary>
/// Lets nothing new come to a node, or lifts that again; by the farm's account, or by the node itself when something of it is broken. What is agreed
/// stays, may be amended, and ends as agreed. Neither lifts what the other said.
/// <code>node.drain = { "node": node-id, "drains": bool as 0 / 1, "reason": text }    ; at most 300 bytes, empty when it is lifted</code>
/// </summary>
public sealed record DrainNode(NodeId Node, bool Drains, string Reason) : Body
{
    public const string Name = "node.drain";

    public const int LongestReason = 300;

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(3, m =>
    {
        m.Key("node").Id(Node);
        m.Key("drains").UInt(Drains ? 1 : 0);
        m.Key("reason").Text(Reason);
    });

    internal static DrainNode Read(CanonicalReader r) => r.Map(m =>
    {
        var node = m.Field("node").Id<NodeId>();
        var drains = m.Field("drains").UInt(1) == 1;
        var reason = m.Field("reason").Text(LongestReason);
        return drains || reason.Length == 0 ? new DrainNode(node, drains, reason) : throw CanonicalReader.Malformed("What is lifted has no reason.");
    });
}
