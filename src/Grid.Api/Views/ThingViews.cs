using System.Collections.Immutable;
using Grid.Accounts;
using Grid.Farms;
using Grid.Nodes;
using Grid.Offers;
using Grid.Units;

namespace Grid.Api;

public sealed record AccountView(string Id, int Threshold, ImmutableArray<string> Keys)
{
    internal static AccountView Of(Account a) => new(a.Id.ToString(), a.Policy.Threshold, [.. a.Policy.Keys.Select(k => k.ToString())]);
}

/// <param name="Addresses">its public addresses: <c>203.0.113.7/24@203.0.113.1</c>, with prefix and gateway</param>
public sealed record FarmView(string Id, string Name, string Account, ImmutableArray<string> Addresses)
{
    internal static FarmView Of(Farm f) => new(f.Id.ToString(), f.Name, f.Account.ToString(), [.. f.Addresses.Select(a => a.ToString())]);
}

/// <param name="Cpu">millicores</param>
/// <param name="Memory">bytes, as are ssd and hdd</param>
public sealed record CapacityView(long Cpu, long Memory, long Ssd, long Hdd, int Ipv4)
{
    internal static CapacityView Of(Capacity c) => new(c.Cpu.Value, c.Memory.Value, c.Ssd.Value, c.Hdd.Value, c.PublicIPv4);
}

public sealed record HardwareView(string Cpu, string Arch, string Kernel)
{
    internal static HardwareView Of(Hardware h) => new(h.Cpu, h.Architecture, h.Kernel);
}

/// <param name="Domain">under which it gives names to gateways; null when it gives none</param>
/// <param name="Offered">what may be agreed in all: what it reported less its reserve; null before its first report</param>
/// <param name="Held">what agreements hold of it</param>
public sealed record NodeView(
    string Id, string Farm, string Key, string Invite, bool Retired, string? Drains, HardwareView Hardware, ImmutableArray<string> Kinds, string? Domain, CapacityView? Offered, CapacityView Held)
{
    internal static NodeView Of(Node n) => new(n.Id.ToString(), n.Farm.ToString(), n.Key.ToString(), n.Invite.ToString(), n.Retired, n.DrainedByFarmer ?? n.DrainedByItself,
        HardwareView.Of(n.Report?.Hardware ?? n.Hardware), n.Report?.Kinds ?? [], n.Report?.Domain, n.Report is null ? null : CapacityView.Of(n.Offered), CapacityView.Of(n.Held));
}

/// <summary>Per second, in the smallest unit of the currency: per millicore, per GiB, per address.</summary>
public sealed record PricesView(long Cpu, long Memory, long Ssd, long Hdd, long Ipv4);

public sealed record CurrencyView(string Code, int Decimals)
{
    internal static CurrencyView Of(Currency c) => new(c.Code, c.Decimals);
}

/// <param name="Nodes">empty when it holds for all of the farm's</param>
/// <param name="Notice">seconds</param>
public sealed record OfferView(
    string Id, string Farm, ImmutableArray<string> Nodes, ImmutableArray<string> Kinds, PricesView Prices, CurrencyView Currency, CapacityView Ceiling,
    long Notice, DateTimeOffset Expires, bool Withdrawn)
{
    internal static OfferView Of(Offer o) => new(o.Id.ToString(), o.Terms.Farm.ToString(), [.. o.Terms.Nodes.Select(n => n.ToString())], o.Terms.Kinds,
        new PricesView(o.Terms.Prices.Cpu, o.Terms.Prices.Memory, o.Terms.Prices.Ssd, o.Terms.Prices.Hdd, o.Terms.Prices.PublicIPv4),
        CurrencyView.Of(o.Terms.Currency), CapacityView.Of(o.Terms.Ceiling), (long)o.Terms.Notice.TotalSeconds, o.Terms.Expires, o.Withdrawn);
}

/// <param name="Name">a gateway's hostname or a public address</param>
/// <param name="Agreement">which no other can have it beside</param>
public sealed record NameView(string Name, string Agreement);
