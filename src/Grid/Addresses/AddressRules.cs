using System.Net;
using Grid.Agreements;
using Grid.Machines;
using Grid.Networks;
using Grid.Workloads;

namespace Grid.Addresses;

/// <summary>The static rules of public addresses; part of <see cref="AgreementRules"/>. Whose an address is, the ledger's state says.</summary>
internal static class AddressRules
{
    public static void Check(AgreementTerms terms, Findings found)
    {
        var taken = new Dictionary<IPAddress, string>();
        var bound = new Dictionary<(string Workload, bool IPv4), string>();
        foreach (var address in terms.Addresses)
        {
            var its = found.Of(address);
            if (!taken.TryAdd(address.Ip, address.Name))
                its.Add(new(RefusalCode.AddressConflict, $"'{address.Name}' and '{taken[address.Ip]}' both are {address.Ip}."), "ip");
            if (terms.On(address.Node).OfType<Runnable>().FirstOrDefault(w => w.Name == address.Workload) is not { } holder)
                its.Add(new(RefusalCode.UnresolvedBackend, $"'{address.Name}' is for '{address.Workload}', which is no container and no machine on its node."), "workload");
            else if (holder is Machine { Networks.IsEmpty: true })
                its.Add(new(RefusalCode.UnresolvedBackend, $"'{address.Name}' is for '{address.Workload}', a machine without a network: it has no card to have it by.", "Give the machine a network."), "workload");
            else if (!bound.TryAdd((address.Workload, address.Ip.IsIPv4()), address.Name))
                its.Add(new(RefusalCode.AddressConflict, $"'{address.Workload}' would have both '{address.Name}' and '{bound[(address.Workload, address.Ip.IsIPv4())]}'.",
                    "A workload has at most one public address of each family."), "workload");
        }
    }
}
