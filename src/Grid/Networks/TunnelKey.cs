using Grid.Units;

namespace Grid.Networks;

/// <summary>The X25519 public key of a WireGuard interface: 32 bytes (RFC 7748 §5). As text it is base64, as WireGuard's own tools write it.</summary>
public readonly record struct TunnelKey(Digest Value) : IComparable<TunnelKey>
{
    /// <exception cref="FormatException">not 32 bytes in base64</exception>
    public static TunnelKey Parse(string text) => new(new Digest(Convert.FromBase64String(text)));

    public int CompareTo(TunnelKey other) => Value.CompareTo(other.Value);

    public static bool operator <(TunnelKey left, TunnelKey right) => left.CompareTo(right) < 0;

    public static bool operator >(TunnelKey left, TunnelKey right) => left.CompareTo(right) > 0;

    public static bool operator <=(TunnelKey left, TunnelKey right) => left.CompareTo(right) <= 0;

    public static bool operator >=(TunnelKey left, TunnelKey right) => left.CompareTo(right) >= 0;

    public override string ToString() => Convert.ToBase64String(Value.ToArray());
}
