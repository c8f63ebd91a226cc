using Grid.Units;

namespace Grid.Networks;

/// <summary>One workload's tunnel into one network, among all on a node: as text <c>agr1…/network/workload</c>.</summary>
public readonly record struct TunnelId(AgreementId Agreement, Membership Of) : IComparable<TunnelId>
{
    public int CompareTo(TunnelId other) => Agreement != other.Agreement ? Agreement.Value.CompareTo(other.Agreement.Value) : Of.CompareTo(other.Of);

    public static bool operator <(TunnelId left, TunnelId right) => left.CompareTo(right) < 0;

    public static bool operator >(TunnelId left, TunnelId right) => left.CompareTo(right) > 0;

    public static bool operator <=(TunnelId left, TunnelId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(TunnelId left, TunnelId right) => left.CompareTo(right) >= 0;

    public static bool TryParse(string? text, out TunnelId id)
    {
        id = default;
        if (text?.Split('/') is not [var name, { Length: > 0 and <= 64 } network, { Length: > 0 and <= 64 } workload] || !Id.TryParse<AgreementId>(name, out var agreement))
            return false;
        id = new TunnelId(agreement, new Membership(network, workload));
        return true;
    }

    public override string ToString() => $"{Agreement}/{Of.Network}/{Of.Workload}";
}
