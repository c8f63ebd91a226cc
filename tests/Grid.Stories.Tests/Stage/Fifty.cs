using System.Net;
using System.Security.Cryptography.X509Certificates;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Tests.Gateways;
using Grid.Units;
using Grid.Workloads;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Stories.Tests.Stage;

/// <summary>
/// Fifty workloads of every kind in one agreement on one node, and every way that leads into them and out: by name with the node's certificate and with the owner's, by an
/// address of its own, to the world by nat, and to a machine over the encrypted network.
/// </summary>
internal sealed class Fifty(StageNode node, OutsideWorld world, X509Certificate2 certificate) : IAsyncDisposable
{
    public const int Containers = Alone + Members + Writers + 3, Tunnels = Members + 5, Gateways = 2;

    /// <summary>All but the networks, of which the status says nothing.</summary>
    public const int Told = 48;

    public const string Domain = "gw.example", Own = "own.example.org";

    private const int Alone = 27, Members = 8, Writers = 3, Greeting = 7000;
    private const string Shop = "shop.gw.example", Page = "page of many\n";

    // A way out leads to no private addresses, so the wire has public ones as well (RFC 5737).
    public static readonly IPAddress Router = IPAddress.Parse("203.0.113.1"), Us = IPAddress.Parse("203.0.113.2"), Public = IPAddress.Parse("203.0.113.7");

    private static readonly IPAddress Web = At(100).Address, Vm = At(103).Address;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly List<WebApplication> _servers = [];
    private ProcessIdentity _member, _outward;

    // Tiny shares: fifty of them fit on any machine that builds this.
    public List<Workload> Workloads(FlistId flist, FlistId system)
    {
        static Container Small(Container container) => container with { Cpu = new MilliCores(10), Memory = Bytes.MiB(16) };
        var sleeps = Trees.Run("", node.Id, flist, "sleep", "100000");
        return
        [
            .. Enumerable.Range(0, Alone).Select(i => Small(sleeps with { Name = $"alone-{i:d2}" })),
            .. Enumerable.Range(0, Members).Select(i => Small(sleeps with { Name = $"member-{i}", Networks = [At(i + 2)] })),
            .. Enumerable.Range(0, Writers).SelectMany(i => (Workload[])
            [
                new Volume($"data-{i}", node.Id, Bytes.MiB(8), Media.Ssd, TimeSpan.Zero),
                // Every start leaves a line.
                Small(Trees.Run($"writer-{i}", node.Id, flist, "sh", "-c", "echo started >> /data/starts; sync; exec sleep 100000") with { Mounts = [new VolumeMount("/data", $"data-{i}")] }),
            ]),
            Small(sleeps with { Name = "outward", Networks = [new NetworkAddress("out", IPAddress.Parse("10.46.0.2"))] }),
            Trees.Run("web", node.Id, flist, "httpd", "-f", "-p", "8080", "-h", "/srv") with { Networks = [At(100)] },
            new Gateway("door", node.Id, Shop, Tls.Terminate, DomainProof.Domain, new Backend("web", 8080), [At(101)]),
            new Gateway("own", node.Id, Own, Tls.Passthrough, DomainProof.Dns, new Backend("web", 8443), [At(102)]),
            new PublicAddress("public", node.Id, Public, [new Port(Transport.Tcp, 8080)], "web"),
            new Volume("disk", node.Id, Bytes.MiB(64), Media.Ssd, TimeSpan.Zero, VolumeForm.Disk),
            new Machine(
                "vm", node.Id, system, Systems.Kernel, Systems.Initrd, $"console=ttyS0 quiet panic=-1 address={Vm}/24", new MilliCores(500), Bytes.MiB(256), [new MachineDisk("data", "disk")],
                new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(8)), Bytes.KiB(256), [], [At(103)]),
            new Network("net", IPNetwork.Parse("10.45.0.0/24"), Egress.None),
            new Network("out", IPNetwork.Parse("10.46.0.0/24"), Egress.Nat),
        ];
    }

    /// <summary>They run: what answers beside them does as well, and each way has led to its end once.</summary>
    public async Task OpenAsync(Stage stage)
    {
        var inits = node.Processes().ToDictionary(p => p.Key.Workload, p => p.Value);
        (_member, _outward) = (inits["member-0"], inits["outward"]);
        _servers.Add(await Upstream.StartAsync(new IPEndPoint(Web, 8443), make => UnderlayNetwork.Inside($"/proc/{inits["web"].Pid}/ns/net", make), c => c.Response.WriteAsync(Own), HttpProtocols.Http1, certificate));
        _servers.Add(await Upstream.StartAsync(new IPEndPoint(Router, Greeting), world.Inside, c => c.Response.WriteAsync($"{c.Connection.RemoteIpAddress}"), HttpProtocols.Http1, null));
        await Wait.ForAsync("the machine to be up", () => LinesAsync(), stage.Logs);
        await AskAsync();
    }

    /// <summary>Goes every way once, each time on a new connection.</summary>
    public async Task AskAsync()
    {
        using var named = world.Client(HttpVersion.Version11);
        Assert.Equal(Page, await named.GetStringAsync(new Uri($"https://{Shop}/index.html"), CancellationToken.None));
        using var through = world.Client(HttpVersion.Version11, certificate);
        Assert.Equal(Own, await through.GetStringAsync(new Uri($"https://{Own}/"), CancellationToken.None));
        using var addressed = world.Client(HttpVersion.Version11, at: Public);
        Assert.Equal(Page, await addressed.GetStringAsync(new Uri($"http://{Public}:8080/index.html"), CancellationToken.None));
        Assert.Equal($"{Us}", await Pages.TryAsync(_outward, new IPEndPoint(Router, Greeting), "", Patience));
        Assert.Equal(Systems.Boot + "\n", await Pages.TryAsync(_member, new IPEndPoint(Vm, 8080), "index.html", Patience));
    }

    /// <summary>What the machine has written on its disk by now; null when it does not answer.</summary>
    public Task<string?> LinesAsync() => Pages.TryAsync(_member, new IPEndPoint(Vm, 8080), "lines", TimeSpan.FromSeconds(2));

    /// <summary>How often each of the writers was started, which is on its volume.</summary>
    public IEnumerable<string> Starts() => Enumerable.Range(0, Writers).Select(i => File.ReadAllText($"/proc/{node.Running()[$"writer-{i}"]}/root/data/starts"));

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers)
            await server.DisposeAsync();
        _servers.Clear();
    }

    private static NetworkAddress At(int host) => new("net", new IPAddress([10, 45, 0, (byte)host]));
}
