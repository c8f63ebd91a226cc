using System.Security.Cryptography;
using System.Text;
using Grid.Networks;
using Grid.Units;

namespace Grid.Node.Networks;

/// <summary>One end of one network: <c>agr1…/network/workload</c>, as it stands in the environment of the process that holds the tunnel.</summary>
public readonly record struct TunnelId(AgreementId Agreement, Membership Of)
{
    public static bool TryParse(string? text, out TunnelId id)
    {
        id = default;
        if (text?.Split('/') is not [var name, { Length: > 0 and <= 64 } network, { Length: > 0 and <= 64 } workload] || !Id.TryParse<AgreementId>(name, out var agreement))
            return false;
        id = new TunnelId(agreement, new Membership(network, workload));
        return true;
    }

    public override string ToString() => $"{Agreement}/{Of.Network}/{Of.Workload}";

    /// <summary>A name of 14 characters (IFNAMSIZ leaves room for 15), told apart by 48 bits of a hash; nobody reads the id back from it.</summary>
    /// <param name="kind">what the interface is, in two letters</param>
    /// <param name="scope">the node's: control sockets of one machine share a directory, whatever namespace they serve</param>
    internal string InterfaceName(string kind, string scope) => kind + Convert.ToHexStringLower(Hash(scope).AsSpan(0, 6));

    internal byte[] Hash(string purpose) => SHA256.HashData(Encoding.UTF8.GetBytes($"{purpose}\0{this}"));
}
