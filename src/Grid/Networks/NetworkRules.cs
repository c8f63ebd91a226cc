using System.Collections.Immutable;
using System.Net;
using Grid.Agreements;
using Grid.Workloads;

namespace Grid.Networks;

/// <summary>The static rules of networks and of the addresses in them; part of <see cref="AgreementRules"/>.</summary>
internal static class NetworkRules
{
    private static readonly ImmutableArray<IPNetwork> Private =
        [new(IPAddress.Parse("10.0.0.0"), 8), new(IPAddress.Parse("172.16.0.0"), 12), new(IPAddress.Parse("192.168.0.0"), 16)];

    private static readonly IPNetwork UniqueLocal = new(IPAddress.Parse("fd00::"), 8);

    public static void Check(AgreementTerms terms, Findings found)
    {
        var networks = terms.Workloads.OfType<Network>().ToList();
        for (var i = 0; i < networks.Count; i++)
        {
            var its = found.Of(networks[i]);
            CheckRange(networks[i], its);
            if (networks.Take(i).FirstOrDefault(n => Overlap(n.Cidr, networks[i].Cidr)) is { } other)
                its.Add(new(RefusalCode.AddressConflict, $"The networks '{other.Name}' ({other.Cidr}) and '{networks[i].Name}' ({networks[i].Cidr}) overlap."), "cidr");
            if (!terms.Placed.Any(w => w.Networks.Any(a => a.Network == networks[i].Name)))
                its.Add(new(RefusalCode.UnresolvedNetwork, $"No workload has an address in the network '{networks[i].Name}'.", "Give one an address in it, or leave it out."));
        }
        var taken = new Dictionary<(string, IPAddress), string>();
        foreach (var workload in terms.Placed)
        {
            var its = found.Of(workload);
            foreach (var place in workload.Networks)
            {
                if (networks.Find(n => n.Name == place.Network) is not { } network)
                    its.Add(new(RefusalCode.UnresolvedNetwork, $"'{workload.Name}' has an address in '{place.Network}', which is no network of this agreement."), "networks", place.Network);
                else if (!IsHost(network.Cidr, place.Address))
                    its.Add(new(RefusalCode.AddressConflict, $"'{workload.Name}' cannot have {place.Address}: it is no address for a host in {network.Cidr} of '{network.Name}'."), "networks", place.Network);
                else if (!taken.TryAdd((network.Name, place.Address), workload.Name))
                    its.Add(new(RefusalCode.AddressConflict, $"'{workload.Name}' and '{taken[(network.Name, place.Address)]}' both have {place.Address} in '{network.Name}'."), "networks", place.Network);
            }
            if (workload.Networks.Count(a => networks.Find(n => n.Name == a.Network)?.Egress is Egress.Nat) > 1)
                its.Add(new(RefusalCode.AddressConflict, $"'{workload.Name}' would leave by two networks; one way out is enough.", "Let one of its networks have 'egress: nat'."), "networks");
        }
    }

    private static void CheckRange(Network network, Findings found)
    {
        var fine = network.Cidr.BaseAddress.IsIPv4()
            ? network.Cidr.PrefixLength is >= 16 and <= 28 && Private.Any(p => p.Contains(network.Cidr.BaseAddress))
            : network.Cidr.PrefixLength is >= 48 and <= 124 && UniqueLocal.Contains(network.Cidr.BaseAddress);
        if (!fine)
            found.Add(new(RefusalCode.CidrInvalid, $"'{network.Name}' cannot be {network.Cidr}.", "Use a part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 from /16 to /28, or of fd00::/8 from /48 to /124."), "cidr");
    }

    private static bool Overlap(IPNetwork a, IPNetwork b) => a.Contains(b.BaseAddress) || b.Contains(a.BaseAddress);

    // The first address names the network (in IPv6 its routers, RFC 4291 §2.6.1), the last of IPv4 everybody in it.
    private static bool IsHost(IPNetwork cidr, IPAddress address)
    {
        if (!cidr.Contains(address) || address.Equals(cidr.BaseAddress))
            return false;
        if (!address.IsIPv4())
            return true;
        var last = cidr.BaseAddress.GetAddressBytes();
        for (var bit = cidr.PrefixLength; bit < 32; bit++)
            last[bit / 8] |= (byte)(0x80 >> (bit % 8));
        return !address.Equals(new IPAddress(last));
    }
}
