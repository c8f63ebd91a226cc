using System.Collections.Immutable;
using System.Net;
using Grid.Networks;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Farms;

/// <summary>
/// All public addresses of a farm, by its account; each statement replaces the one before.
/// <code>
/// farm.addresses = { "farm": farm-id, "addresses": [*512 farm-address] }    ; sorted by address, IPv4 first
/// farm-address   = { "bits": 1..128, "address": address, "gateway": address }
/// </code>
/// What an agreement holds stays as it is listed: its node sends by that gateway.
/// </summary>
public sealed record ListAddresses(FarmId Farm, ImmutableArray<FarmAddress> Addresses) : Body
{
    public const string Name = "farm.addresses";

    public const int Maximum = 512;

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(2, m =>
    {
        m.Key("farm").Id(Farm);
        m.Key("addresses").Array(Addresses, (a, x) => x.Write(a));
    });

    internal static ListAddresses Read(CanonicalReader r) => r.Map(m =>
    {
        var farm = m.Field("farm").Id<FarmId>();
        return new ListAddresses(farm, m.Field("addresses").Set(Maximum, FarmAddress.Read, (a, b) => AddressFields.Order(a.Address, b.Address)));
    });

    public bool Equals(ListAddresses? other) => other is not null && Farm == other.Farm && Addresses.AsSpan().SequenceEqual(other.Addresses.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Farm, Addresses.Length);

    /// <summary>Null when every address can be a farm's. The tool that writes the list asks it as well.</summary>
    public static Refusal? Check(ImmutableArray<FarmAddress> addresses) => addresses.Select(a => a.Check()).FirstOrDefault(r => r is not null);

    internal static Decision Decide(GridState state, Statement statement, ListAddresses body)
    {
        if (state.SpeaksForFarm(body.Farm, statement, out var farm) is { } refusal)
            return refusal;
        if (Check(body.Addresses) is { } wrong)
            return wrong;
        if (body.Addresses.FirstOrDefault(a => state.Addresses.TryGetValue(a.Address, out var other) && other != farm.Id) is { } foreign)
            return Decision.Refuse(RefusalCode.AddressConflict, $"{foreign.Address} is listed by the farm '{state.Farms[state.Addresses[foreign.Address]].Name}'.", "Its farmer must list it no more.");
        var listed = body.Addresses.ToDictionary(a => a.Address);
        if (farm.Addresses.FirstOrDefault(a => state.Names.ContainsKey($"{a.Address}") && listed.GetValueOrDefault(a.Address) != a) is { } held)
            return Decision.Refuse(RefusalCode.AgreementsRunning, $"{held.Address} is held by the agreement {state.Names[$"{held.Address}"]}.", "Leave it as it is until that has ended.");
        return new FarmEvent.AddressesListed(farm.Id, body.Addresses);
    }
}

/// <summary>A public address, and how what has it reaches the world.</summary>
/// <param name="Bits">of the prefix whose addresses are on the same wire</param>
/// <param name="Gateway">who carries to the rest of the world; on the same wire, whatever the prefix says</param>
public sealed record FarmAddress(IPAddress Address, int Bits, IPAddress Gateway)
{
    // RFC 6890 and its successors in IANA's registries, but for what is set aside for documentation. The rest is the world's.
    private static readonly ImmutableArray<IPNetwork> Special =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
            "2001::/23", "2002::/16",
        }.Select(IPNetwork.Parse),
    ];

    // Who can be asked to carry: one host, of whatever range.
    private static readonly ImmutableArray<IPNetwork> NoHost = [.. new[] { "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "ff00::/8" }.Select(IPNetwork.Parse)];

    private static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");

    /// <param name="text"><c>203.0.113.7/24@203.0.113.1</c>, each in the one form in which it is written</param>
    public static bool TryParse(string text, out FarmAddress? address)
    {
        address = null;
        if (text.Split('@') is not [var left, var gateway] || left.Split('/') is not [var own, var bits] || !IsPlain(own, out var ip) || !IsPlain(gateway, out var by)
            || !int.TryParse(bits, System.Globalization.NumberStyles.None, null, out var length) || $"{length}" != bits)
            return false;
        address = new FarmAddress(ip, length, by);
        return true;
    }

    /// <summary>As they are signed: IPv4 first, then bytewise.</summary>
    public static ImmutableArray<FarmAddress> Sorted(IEnumerable<FarmAddress> addresses) => [.. addresses.Order(Comparer<FarmAddress>.Create((a, b) => AddressFields.Order(a.Address, b.Address)))];

    /// <summary>The prefix whose addresses are on the same wire.</summary>
    public IPNetwork Wire => new(new IPAddress(Masked(setBelow: false)), Bits);

    internal Refusal? Check()
    {
        var (isIPv4, longest) = (Address.IsIPv4(), Address.GetAddressBytes().Length * 8);
        if (isIPv4 ? Special.Any(s => s.Contains(Address)) : !GlobalUnicast.Contains(Address) || Special.Any(s => s.Contains(Address)))
            return new Refusal(RefusalCode.AddressInvalid, $"{Address} is no address of the world: its range is private or has a special purpose.");
        if (Bits < 1 || Bits > longest)
            return new Refusal(RefusalCode.AddressInvalid, $"{Address} has no prefix of {Bits} bits.");
        // RFC 3021: two hosts can share /31. In IPv6 the first address is the routers' (RFC 4291 §2.6.1).
        if (Bits < longest - 1 && (Address.Equals(Wire.BaseAddress) || (isIPv4 && Address.Equals(new IPAddress(Masked(setBelow: true))))))
            return new Refusal(RefusalCode.AddressInvalid, $"{Address}/{Bits} names its network, or everybody in it.");
        return Gateway.IsIPv4() != isIPv4 || Gateway.Equals(Address) || NoHost.Any(n => n.Contains(Gateway))
            ? new Refusal(RefusalCode.AddressInvalid, $"{Gateway} cannot be the gateway of {Address}.")
            : null;
    }

    internal void Write(CanonicalWriter w) => w.Map(3, m =>
    {
        m.Key("bits").UInt(Bits);
        m.Key("address").Address(Address);
        m.Key("gateway").Address(Gateway);
    });

    internal static FarmAddress Read(CanonicalReader r) => r.Map(m =>
    {
        var bits = (int)m.Field("bits").UInt(128);
        var address = m.Field("address").Address();
        return new FarmAddress(address, bits, m.Field("gateway").Address());
    });

    public override string ToString() => $"{Address}/{Bits}@{Gateway}";

    // The framework reads 10.1 and 0x0a000001 as addresses too; what is signed is written one way.
    private static bool IsPlain(string text, out IPAddress address) => IPAddress.TryParse(text, out address!) && address.ToString() == text && !text.Contains('%');

    private byte[] Masked(bool setBelow)
    {
        var bytes = Address.GetAddressBytes();
        for (var bit = Bits; bit < bytes.Length * 8; bit++)
        {
            var one = (byte)(0x80 >> (bit % 8));
            bytes[bit / 8] = (byte)(setBelow ? bytes[bit / 8] | one : bytes[bit / 8] & ~one);
        }
        return bytes;
    }
}
