using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using Grid.Networks;

namespace Grid.Node.Networks;

/// <summary>What a tunnel is called where 15 characters must do (IFNAMSIZ), and where it begins to look for a port.</summary>
internal static class TunnelNames
{
    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    /// <summary>What begins the name of a tunnel's interface.</summary>
    public const string Tunnel = "gw";

    /// <summary>What begins the name of the tap that a machine is behind.</summary>
    public const string Tap = "gt";

    /// <summary>What begins the name of the interface by which a workload leads out of its private networks.</summary>
    public const string WayOut = "gc";

    /// <summary>14 characters, told apart by 48 bits of a hash; nobody reads the id back from it.</summary>
    /// <param name="kind">what the interface is, in two letters</param>
    /// <param name="scope">the node's: control sockets of one machine share a directory, whatever namespace they serve</param>
    public static string InterfaceName(this TunnelId id, string kind, string scope) => kind + Convert.ToHexStringLower(id.Hash(scope).AsSpan(0, 6));

    /// <summary>It could be one of ours, whichever node of the machine made it.</summary>
    public static bool IsTunnel(string name) => IsOurs(name) && name.StartsWith(Tunnel, StringComparison.Ordinal);

    /// <summary>The same for interfaces of every kind.</summary>
    public static bool IsOurs(string name) => name.Length == 14 && name[0] == 'g' && name.AsSpan(2).IndexOfAnyExcept(HexDigits) < 0;

    public static byte[] Hash(this TunnelId id, string purpose) => SHA256.HashData(Encoding.UTF8.GetBytes($"{purpose}\0{id}"));
}
