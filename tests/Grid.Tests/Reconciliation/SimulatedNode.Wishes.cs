using System.Collections.Immutable;
using System.Net;
using Grid.Addresses;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Reconciliation;
using Grid.Tests.World;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Reconciliation;

/// <summary>What is wished of it, drawn at random within what can be agreed.</summary>
internal sealed partial class SimulatedNode
{
    /// <param name="workloads">
    /// a container with its flist, a public address (its container's name and "ip") with its port, a gateway ("door" or "exit") with its port, or a volume with its size below zero: the first containers mount every volume of
    /// files and are asked for their health, the second of them started again only when it failed, and 'd' is a machine with every disk, which are the volumes from 'x' on
    /// </param>
    public static Desired Wishing(params (string Name, int Flist)[] workloads) => new SimulatedNode(0).Wishing(Agreement, paused: false, workloads);

    private Desired Wishing(AgreementId agreement, bool paused, params (string Name, int Flist)[] workloads)
    {
        return new Desired(
            workloads.Select(w =>
            {
                var key = new WorkloadKey(agreement, w.Name);
                if (w.Flist < 0)
                    return KeyValuePair.Create(key, new Wish(key, default, new Volume(w.Name, Here, Bytes.GiB(-w.Flist), Media.Ssd, Keep, IsDisk(w.Name) ? VolumeForm.Disk : VolumeForm.Files), Paused: false));
                ImmutableArray<Tunnel> tunnels = [Tunnel(key, workloads.Where(o => o.Flist >= 0 && !IsAddress(o.Name)).Select(o => o.Name))];
                if (IsAddress(w.Name))
                    return KeyValuePair.Create(key, new Wish(key, default, new PublicAddress(w.Name, Here, new IPAddress([203, 0, 113, (byte)_ips.GetValueOrDefault(key)]), [new Port(Transport.Tcp, 80 + w.Flist)], w.Name[..1]), paused));
                if (IsGateway(w.Name))
                {
                    var gateway = new Gateway(w.Name, Here, $"n{_names.GetValueOrDefault(key)}.example.org", Tls.Terminate, DomainProof.Dns, new Backend("a", 80 + w.Flist), []);
                    return KeyValuePair.Create(key, new Wish(key, default, gateway, Paused: w.Flist > 1)
                    {
                        Route = new Route(gateway.Hostname, gateway.Tls, new IPEndPoint(IPAddress.Loopback, gateway.Backend.Port)),
                        Tunnels = tunnels,
                    });
                }
                var mounts = workloads.Where(v => v.Flist < 0 && !IsDisk(v.Name) && w.Name[0] < 'c').Select(v => new VolumeMount("/" + v.Name, v.Name));
                var container = TestGrid.Container(w.Name, Here);
                Runnable workload = container with
                {
                    Flist = new FlistId(Digest.Of([(byte)w.Flist])),
                    Mounts = [.. mounts],
                    Health = IsAsked(w.Name) ? Asked : null,
                    Restart = container.Restart with { When = StopsWhenDone(w.Name) ? RestartWhen.OnFailure : RestartWhen.Always },
                };
                if (IsMachine(w.Name))
                    workload = new Machine(w.Name, Here, workload.Flist, "/vmlinuz", "/initrd", "", new MilliCores(1000), Bytes.MiB(64), [.. workloads.Where(v => v.Flist < 0 && IsDisk(v.Name)).Select(v => new MachineDisk(v.Name, v.Name))], workload.Restart, Bytes.MiB(1), [], workload.Networks);
                return KeyValuePair.Create(key, new Wish(key, default, workload, paused) { Tunnels = tunnels });
            }).ToImmutableSortedDictionary(), [agreement])
        {
            Claims = ImmutableDictionary<AgreementId, Claim>.Empty.Add(agreement, new Claim([.. workloads.Select(w => w.Name)], null)),
        };
    }

    private static bool IsGateway(string name) => name.Length > 3;

    private static bool IsAddress(string name) => name.Length == 3;

    private static bool IsDisk(string name) => name[0] is >= 'x';

    private static bool IsMachine(string name) => name == "d";

    private static bool IsAsked(string name) => name is "a" or "b";

    private static bool StopsWhenDone(string name) => name == "b";

    // Everybody is in one network with everybody else: whoever comes or goes changes all tunnels.
    private Tunnel Tunnel(WorkloadKey of, IEnumerable<string> members)
    {
        static TunnelKey Key(WorkloadKey member) => new(Digest.Of(System.Text.Encoding.UTF8.GetBytes($"{member}")));
        static IPAddress Address(WorkloadKey member) => new([10, 1, 0, (byte)member.Name[0]]);
        int Port(WorkloadKey member) => 20_000 + _ports.GetValueOrDefault(member);
        return new Tunnel("back", Address(of), 24, Key(of), Port(of),
            [.. members.Select(m => of with { Name = m }).Where(m => m != of).Select(m => new TunnelPeer(Key(m), new IPEndPoint(IPAddress.Loopback, Port(m)), Address(m)))], Egress.None);
    }

    private static TunnelSeen Made(Tunnel tunnel, bool whole) => new(
        tunnel.Key, tunnel.Port, whole ? (tunnel.Address, tunnel.Bits) : null, [.. tunnel.Peers.Select(p => new PeerSeen(p.Key, p.Address, p.Endpoint, Heard: false))], tunnel.Egress);

    public static ImmutableSortedDictionary<TunnelId, Sighting<TunnelSeen>> MadeFor(Wish wish) => wish.Tunnels.ToImmutableSortedDictionary(
        wish.TunnelOf, t => (Sighting<TunnelSeen>)new Sighting<TunnelSeen>.Present(Made(t, whole: true)));

    private void Wish()
    {
        var agreement = _random.Next(2) == 0 ? Agreement : Other;
        var names = new[] { "a", "b", "c", "d" }.Where(_ => _random.Next(2) == 0).ToList();
        // A volume that is wished again is at least as large as it was.
        var volumes = new[] { "v", "w", "x", "y" }.Where(_ => _random.Next(2) == 0)
            .Select(n => (n, -int.Max(1 + _random.Next(3), (int)(_volumes.GetValueOrDefault(new WorkloadKey(agreement, n))?.Size.Value >> 30 ?? 0))));
        var gateways = new[] { "door", "exit" }.Where(_ => _random.Next(2) == 0).ToList();
        // Of containers that are wished: the rules of an agreement see to that.
        var addresses = names.Where(n => !IsMachine(n) && _random.Next(2) == 0).Select(n => $"{n}ip").ToList();
        // As the ledger sees to it, no two have one; from one to the next, and back, they go by amendment.
        Draw(agreement, _ips, addresses, 6, [], keep: false);
        Draw(agreement, _names, gateways, 4, [], keep: false);
        // As a node chooses them, none that another tunnel still has, unless that is on its way out.
        var going = names.Concat(gateways).Select(n => new WorkloadKey(agreement, n)).Concat(_desired.Wishes.Keys).ToHashSet();
        Draw(agreement, _ports, [.. names, .. gateways], 24, _tunnels.Where(t => going.Contains(WorkloadOf(t.Key))).Select(t => t.Value.Port - 20_000), keep: true);
        var wished = Wishing(agreement, _random.Next(4) == 0, [.. names.Concat(gateways).Concat(addresses).Select(n => (n, _random.Next(3))), .. volumes]);
        var (others, version) = (Without(agreement), NextVersion());
        _desired = new Desired(wished.Wishes.ToImmutableSortedDictionary(w => w.Key, w => w.Value with { Version = version }).AddRange(others.Wishes), [Agreement, Other]) { Claims = wished.Claims.AddRange(others.Claims) };
    }

    private void Draw(AgreementId agreement, Dictionary<WorkloadKey, int> lots, List<string> names, int pool, IEnumerable<int> barred, bool keep)
    {
        var free = new List<int>();
        foreach (var (key, lot) in lots.Where(l => l.Key.Agreement == agreement && !(names.Contains(l.Key.Name) && (keep || _random.Next(2) == 0))).ToList())
        {
            lots.Remove(key);
            free.Add(lot);
        }
        // Mostly what another of the agreement had.
        var all = Enumerable.Range(1, pool).Except(barred).OrderBy(l => (!free.Contains(l), _random.Next())).ToList();
        foreach (var key in names.Select(n => new WorkloadKey(agreement, n)).Where(k => !lots.ContainsKey(k)))
            lots[key] = all.Except(lots.Values).First();
    }

    // What the node knows while it cannot read the proof of one of them.
    private Desired Without(AgreementId agreement) => _desired with
    {
        Wishes = _desired.Wishes.RemoveRange(_desired.Wishes.Keys.Where(k => k.Agreement == agreement)),
        Settled = _desired.Settled.Remove(agreement),
        Claims = _desired.Claims.Remove(agreement),
    };
}
