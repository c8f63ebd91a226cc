using System.Net;
using Grid.Agreements;

namespace Grid.Gateways;

/// <summary>What the node that serves a gateway has to know: who asks for this name is led there, by way of the gateway's own place in the network.</summary>
public sealed record Route(string Hostname, Tls Tls, IPEndPoint Backend)
{
    /// <summary>The route of a gateway of an agreement that keeps the static rules.</summary>
    public static Route Of(AgreementTerms terms, Gateway gateway) => new(gateway.Hostname, gateway.Tls, new IPEndPoint(
        terms.Placed.First(w => w.Name == gateway.Backend.Workload).Networks.First(a => a.Network == gateway.Networks[0].Network).Address, gateway.Backend.Port));
}
