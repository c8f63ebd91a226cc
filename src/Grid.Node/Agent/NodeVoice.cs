using Grid.Statements;
using Grid.Units;

namespace Grid.Node.Agent;

/// <summary>Says things in the node's name, signed by its key.</summary>
internal sealed class NodeVoice(SigningKey key, NodeId node, string origin, TimeProvider time)
{
    private static readonly TimeSpan Validity = TimeSpan.FromDays(30);

    public NodeId Node => node;

    public Statement Say(Body body)
    {
        // Whole seconds: that is all the payload holds.
        var now = DateTimeOffset.FromUnixTimeSeconds(time.GetUtcNow().ToUnixTimeSeconds());
        return Statement.Sign(new Payload(origin, node.Value, now, now + Validity, body), key);
    }
}
