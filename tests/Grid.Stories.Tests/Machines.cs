using System.Net;
using System.Security.Cryptography;
using System.Text;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Farms;
using Grid.Machines;
using Grid.Networks;
using Grid.Node.Containers;
using Grid.Node.Machines;
using Grid.Node.Tests.Gateways;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Stories.Tests;

/// <summary>A real Linux, from the signed bytes to its power button.</summary>
[Collection("one at a time")]
public sealed class Machines
{
    private const string Token = "what-only-the-guest-may-know";

    private const int Greeting = 7000;

    // A way out leads to no private addresses, so the wire has public ones as well (RFC 5737).
    private static readonly IPAddress Address = IPAddress.Parse("10.42.0.2"), Public = IPAddress.Parse("203.0.113.7"), Router = IPAddress.Parse("203.0.113.1"), Us = IPAddress.Parse("203.0.113.2");

    // And by IPv6: a network on a second card, and a public address on the first.
    private static readonly IPAddress Address6 = IPAddress.Parse("fd42::2"), Public6 = IPAddress.Parse("2001:db8:2::7"), Router6 = IPAddress.Parse("2001:db8:2::1");

    // Longer than the agent waits for the ledger to have news.
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(28);

    [Fact]
    public async Task A_machine_boots_serves_keeps_its_disk_outlives_the_agent_pauses_grows_and_shuts_down()
    {
        UnderlayNetwork.NeedsTunnels();
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        var farm = await stage.AddFarmAsync("north");
        var node = await stage.AddNodeAsync(farm, "one", wire, _ => Task.FromResult<IEnumerable<string>>(["--public", "eth0", "--public-ipv4", "1"]));
        var other = await stage.AddNodeAsync(farm, "two", wire);
        var world = new OutsideWorld(wire.Add());
        UnderlayNetwork.Give(world.Path, Router, 24);
        UnderlayNetwork.Give(world.Path, Router6, 64);
        UnderlayNetwork.Give(node.Space, Us, 24);
        await using var greeter = await Upstream.StartAsync(new IPEndPoint(Router, Greeting), world.Inside, c => c.Response.WriteAsync($"{c.Connection.RemoteIpAddress}"), HttpProtocols.Http1, null);
        await stage.SubmitAsync(stage.Sign(farm.Account.Value, new ListAddresses(farm.Id, [new FarmAddress(Public, 24, Router), new FarmAddress(Public6, 64, Router6)]), farm.Name));
        var system = await stage.PublishAsync(await Systems.MakeAsync(stage));
        var client = Trees.Run("client", other.Id, await stage.PublishAsync(Trees.Make(stage, "client")), "sleep", "3600") with { Networks = [new("net", IPAddress.Parse("10.42.0.3")), new("six", IPAddress.Parse("fd42::3"))] };
        var disk = new Volume("disk", node.Id, Bytes.MiB(64), Media.Ssd, TimeSpan.Zero, VolumeForm.Disk);
        var machine = new Machine(
            "vm", node.Id, system, Systems.Kernel, Systems.Initrd,
            $"console=ttyS0 quiet panic=-1 world={Router}:{Greeting} address={Address}/24 gateway=10.42.0.1 address={Public}/32 address={Public6}/128 gateway=fe80::1 card=eth1 address={Address6}/128 route=fd42::/64@fe80::1",
            new MilliCores(1000), Bytes.MiB(256), [new MachineDisk("data", "disk")],
            new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(8)), Bytes.KiB(256), [await stage.SealAsync(node, "token", Token)], [new NetworkAddress("net", Address), new NetworkAddress("six", Address6)]);
        PublicAddress To(string name, IPAddress ip) => new(name, node.Id, ip, [new Port(Transport.Tcp, 8080)], "vm");
        var terms = stage.Terms(client, disk, machine, new Network("net", IPNetwork.Parse("10.42.0.0/24"), Egress.Nat), new Network("six", IPNetwork.Parse("fd42::/64"), Egress.None), To("public", Public), To("public-6", Public6));
        terms = terms with { Term = terms.Term with { Offline = new Offline(Silence, Pause: true) } };
        var id = await stage.AgreeAsync(terms, "running");

        // Reached on its own address over the encrypted network, by a container on another node.
        var from = other.Processes().Single(p => p.Key.Workload == "client").Value;
        Assert.Equal(1, Boots(await PageAsync(from, "index.html", stage)));
        Assert.Equal(SectorsOf(disk), await PageAsync(from, "size", stage));
        // It leaves from the node's address, and the world reaches it at its own.
        Assert.Equal($"{Us}\n", await PageAsync(from, "world", stage));
        Assert.Equal(SectorsOf(disk), await PublicPageAsync(world, Public));
        await WaysBySixAsync(SectorsOf(disk));
        // Nobody on the way reads the page. Each node has its files from the hub by now, which are no secret of this network.
        using Capture here = new(node.Space, Systems.Boot), there = new(other.Space, Systems.Boot);
        var pid = node.Running()["vm"];
        await Wait.ForAsync("the console to say so", () => node.Log(id, "vm").Contains(Systems.Up, StringComparison.Ordinal), stage.Logs);
        // What runs it is said, in the status and to the user, unless it is the processor.
        var accelerator = node.Status().GetProperty("accelerator").GetString()!;
        var emulated = accelerator.StartsWith("tcg: ", StringComparison.Ordinal);
        if (emulated)
            Assert.Equal($"emulated (tcg): {accelerator["tcg: ".Length..]}", await stage.UntilReportedAsync(id, "vm"));
        else
            Assert.Equal("kvm", accelerator);
        Assert.NotEqual(emulated, File.Exists($"/proc/{pid}/root/dev/kvm"));
        Assert.Contains($"-accel\0{(emulated ? "tcg" : "kvm")}", File.ReadAllText($"/proc/{pid}/cmdline"), StringComparison.Ordinal);

        // Its firmware handed over what was sealed for it, which no other process was told.
        Assert.Contains($"CREDENTIAL {Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Token)))}", node.Log(id, "vm"));
        Assert.DoesNotContain(Token, File.ReadAllText($"/proc/{pid}/cmdline") + File.ReadAllText($"/proc/{pid}/environ"));

        // The emulator may do nothing and sees nothing of this node but what it was given.
        var status = File.ReadAllLines($"/proc/{pid}/status");
        Assert.Contains("NoNewPrivs:\t1", status);
        Assert.Contains("CapEff:\t0000000000000000", status);
        Assert.Contains("Seccomp:\t2", status);
        Assert.Contains(status, l => l.StartsWith("Uid:", StringComparison.Ordinal) && uint.Parse(l.Split('\t')[1]) >= UidRange.Base);
        Assert.False(Directory.Exists($"/proc/{pid}/root/etc"));
        Assert.All(File.ReadLines($"/proc/{pid}/mountinfo").Select(l => l.Split(' ')).Where(f => f[4] is "/" or "/usr" or Emulator.Flist or Emulator.Root), f => Assert.StartsWith("ro,", f[5], StringComparison.Ordinal));
        Assert.Equal(["gc", "gc", "gc", "gt", "gt", "gw", "gw", "lo"], File.ReadLines($"/proc/{pid}/net/dev").Skip(2).Select(l => l.Split(':')[0].Trim()[..2]).Order(StringComparer.Ordinal));

        // Nor does any other user of the machine see what it does.
        Assert.True(Directory.Exists(Path.Combine(node.Run, "machines", $"{id}.vm", "root")) && Outsider.Sees(Path.Combine(node.Run, "machines")));
        Assert.False(Outsider.Sees(Path.Combine(node.Run, "machines", $"{id}.vm", "root")));

        // What the guest wrote lies on the node's disk as nobody can read it.
        Assert.Equal(-1, File.ReadAllBytes(Assert.Single(Images(node))).AsSpan().IndexOf(Encoding.ASCII.GetBytes(Systems.Boot)));

        // The agent is killed, and finds it again.
        await node.KillAgentAsync();
        Assert.Equal((1, SectorsOf(disk)), (Boots(await PageAsync(from, "index.html", stage)), await PublicPageAsync(world, Public)));
        await node.StartAsync();
        await Wait.ForAsync("the agent to see it", () => Phase(node) == "running", stage.Logs);
        Assert.Equal(pid, node.Running()["vm"]);

        // A larger disk by amendment, while it runs.
        var larger = disk with { Size = Bytes.MiB(96) };
        await stage.AmendAsync(id, before => before with { Workloads = before.Workloads.Replace(disk, larger) });
        await Wait.ForAsync("the machine to see its larger disk", async () => await TryPageAsync(from, "size") == SectorsOf(larger) ? "seen" : null, stage.Logs);
        Assert.Equal((pid, 1), (node.Running()["vm"], Boots(await PageAsync(from, "index.html", stage))));

        // It dies, and boots again on what it had.
        Posix.Kill(pid);
        await Wait.ForAsync("the second boot", async () => Boots(await TryPageAsync(from, "index.html") ?? "") == 2 ? "2" : null, stage.Logs);
        pid = node.Running()["vm"];
        await Wait.ForAsync("its ways to the world", async () => await TryPageAsync(from, "world") == $"{Us}\n" && await PublicPageAsync(world, Public) == SectorsOf(larger) ? "both" : null, stage.Logs);
        await WaysBySixAsync(SectorsOf(larger));

        // The ledger is silent for longer than was agreed: it is paused, and goes on where it was.
        await stage.UntilAsync(id, "running");
        await stage.Ledger.StopAsync();
        await Wait.ForAsync("the machine to be paused", () => Phase(node) == "paused", stage.Logs);
        Assert.Null(await TryPageAsync(from, "index.html"));
        await stage.StartLedgerAsync(examine: true);
        await Wait.ForAsync("the machine to go on", () => Phase(node) == "running", stage.Logs);
        Assert.Equal(2, Boots(await PageAsync(from, "index.html", stage)));
        Assert.Equal(pid, node.Running()["vm"]);

        foreach (var (capture, space) in new[] { (here, node.Space), (there, other.Space) })
        {
            Assert.Equal((true, 0, 0), (capture.Frames > 100, capture.Found, capture.Lost));
            Capture.Say(space, Systems.Boot);
            await Wait.ForAsync("plain text to be seen", () => capture.Found > 0);
        }

        // Its power button, and nothing is left.
        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0 && other.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace().Concat(other.EveryTrace())) + stage.Logs());
        Assert.Null(await PublicPageAsync(world, Public));
        Assert.Null(await PublicPageAsync(world, Public6));
        Assert.Contains("SHUTTING DOWN", node.Log(id, "vm"));
        Assert.Contains("Power down", node.Log(id, "vm"));
        Assert.False(Directory.Exists($"/proc/{pid}"));
        Assert.DoesNotContain(File.ReadLines("/proc/self/mounts"), m => m.Contains(node.Run + "/", StringComparison.Ordinal));
        Assert.Empty(Directory.GetFiles(Path.Combine(node.Data, "machine-roots")));

        // What it used is in its receipts: more than the second it boots for, its memory for a minute, and what it said to the world.
        await Wait.ForAsync("its last receipt", async () => (await ReportsAsync(stage, id))[^1].State is WorkloadState.Gone ? "gone" : null, stage.Logs);
        var used = (await ReportsAsync(stage, id)).Aggregate(Consumption.None, (sum, r) => sum.Then(r.Used));
        Assert.InRange(used.CpuMillis, 1_000, 600_000);
        Assert.InRange(used.MemoryMibSeconds, 1_000, 600 * (machine.Memory + Machine.Overhead).Value >> 20);
        Assert.All(new[] { used.Sent, used.Received }, b => Assert.InRange(b.Value, 1_000, 10_000_000));

        // Over the encrypted network, and from the world.
        async Task WaysBySixAsync(string size)
        {
            await Wait.ForAsync("its IPv6 network", async () => await Pages.TryAsync(from, new IPEndPoint(Address6, 8080), "size", TimeSpan.FromSeconds(2)) == size ? "there" : null, stage.Logs);
            await Wait.ForAsync("its IPv6 address", async () => await PublicPageAsync(world, Public6) == size ? "there" : null, stage.Logs);
        }
    }

    private static async Task<List<WorkloadReport>> ReportsAsync(Stage.Stage stage, AgreementId id) =>
        [.. (await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<Receipt>().SelectMany(r => r.Workloads).Where(w => w.Name == "vm")];

    /// <summary>The page that anybody may read.</summary>
    private static Task<string?> PublicPageAsync(OutsideWorld world, IPAddress at) => Pages.TryAsync(world.Path, new IPEndPoint(at, 8080), "size", TimeSpan.FromSeconds(3));

    private static string SectorsOf(Volume volume) => $"{volume.Size.Value / 512}\n";

    private static int Boots(string page) => page.Split(Systems.Boot).Length - 1;

    private static string Phase(StageNode node) => node.Status().GetProperty("workloads").EnumerateArray().Single(w => w.GetProperty("name").GetString() == "vm").GetProperty("phase").GetString()!;

    private static string[] Images(StageNode node) => Directory.GetFiles(Path.Combine(node.Data, "volumes"), "*.image");

    private static Task<string> PageAsync(ProcessIdentity from, string page, Stage.Stage stage) => Wait.ForAsync($"the machine's {page}", () => TryPageAsync(from, page), stage.Logs);

    private static Task<string?> TryPageAsync(ProcessIdentity from, string page) => Pages.TryAsync(from, new IPEndPoint(Address, 8080), page, TimeSpan.FromSeconds(2));
}
