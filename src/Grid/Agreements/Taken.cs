using Grid.Addresses;
using Grid.Gateways;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Agreements;

/// <summary>
/// What another agreement has already: a gateway's name, a public address, a node's capacity. The ledger judges who was first. The draft asks before anything is
/// signed, and a node, which hears of its own agreements only, asks of those: each names the holder that it knows, and the code is the same.
/// </summary>
public static class Taken
{
    /// <param name="holder">which other agreement has the name; null: none that is known</param>
    public static Refusal? Name(Gateway gateway, AgreementId? holder) => holder is null
        ? null
        : new Refusal(RefusalCode.NameTaken, $"{gateway.Hostname} of '{gateway.Name}' is held by another agreement, {holder}.", "Choose another name.") { About = new About(gateway.Name, "hostname") };

    /// <param name="holder">which other agreement has the address; null: none that is known</param>
    public static Refusal? Address(PublicAddress address, AgreementId? holder) => holder is null
        ? null
        : new Refusal(RefusalCode.AddressConflict, $"{address.Ip} of '{address.Name}' is held by another agreement, {holder}.", "Choose another address of the farm.") { About = new About(address.Name, "ip") };

    /// <param name="offered">what the node has for agreements in all</param>
    /// <param name="others">what other agreements hold of it</param>
    /// <param name="own">what the version in force holds, until the next takes its place; nothing for a first version</param>
    public static Refusal? Room(NodeId node, Capacity offered, Capacity others, Capacity own, AgreementTerms terms)
    {
        var held = others + Capacity.Max(own, terms.DemandOn(node));
        // A node that has less than it promised keeps its promises, and who asks for no more of something than is promised anyway makes none.
        var bound = Capacity.Max(offered, others + own);
        return held.FitsIn(bound)
            ? null
            : new Refusal(RefusalCode.Capacity, $"The node {node} offers {offered}; with this it would hold {held}.", "Ask for less, or choose another node.") { About = Most(terms.On(node), held.Beyond(bound)) };
    }

    /// <summary>Of the first thing of which there is too much, what takes most.</summary>
    internal static About Most(IEnumerable<Placed> workloads, Capacity beyond)
    {
        (string Field, Func<Capacity, long> Of)[] parts = [("cpu", c => c.Cpu.Value), ("memory", c => c.Memory.Value), ("size", c => c.Ssd.Value), ("size", c => c.Hdd.Value), ("ip", c => c.PublicIPv4)];
        var (field, of) = parts.First(p => p.Of(beyond) > 0);
        return new About(workloads.MaxBy(w => of(w.Demand))!.Name, field);
    }
}
