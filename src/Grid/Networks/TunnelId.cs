using Grid.Units;

namespace Grid.Networks;

/// <summary>One workload's tunnel into one network, among all on a node.</summary>
public readonly record struct TunnelId(AgreementId Agreement, Membership Of) : IComparable<TunnelId>
{
    public int CompareTo(TunnelId other) => Agreement != other.Agreement ? Agreement.Value.CompareTo(other.Agreement.Value) : Of.CompareTo(other.Of);

    public static bool operator <(TunnelId left, TunnelId right) => left.CompareTo(right) < 0;

    public static bool operator >(TunnelId left, TunnelId right) => left.CompareTo(right) > 0;

    public static bool operator <=(TunnelId left, TunnelId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(TunnelId left, TunnelId right) => left.CompareTo(right) >= 0;

    public override string ToString() => $"{Agreement}/{Of.Network}/{Of.Workload}";
}
