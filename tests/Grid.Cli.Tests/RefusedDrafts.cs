using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>What no node would run is refused while it is still a file, with the code that the vectors give it.</summary>
public sealed class RefusedDrafts(RealLedger real)
{
    private const string Network = "back: { kind: network, cidr: 10.1.0.0/24 }", InIt = ", networks: { back: 10.1.0.2 }";
    private const string Vm = "vm: { kind: vm, flist: FLIST, kernel: /boot/vmlinuz, initrd: /boot/initrd.img, cpu: 0.1, memory: 64MiB }";

    private static readonly string Nowhere = new FlistId(Digest.Of("flist"u8)).ToString();

    private static readonly (string Vector, string[] Workloads)[] Drafts =
    [
        ("terms-network-overlap", ["a: { kind: network, cidr: 10.1.0.0/16 }", "b: { kind: network, cidr: 10.1.2.0/24 }", Web(", networks: { a: 10.1.9.2, b: 10.1.2.2 }")]),
        ("terms-network-public", ["back: { kind: network, cidr: 192.0.2.0/24 }", Web(", networks: { back: 192.0.2.2 }")]),
        ("reader-name-twice", [Web(), Web()]),
        ("terms-network-address-twice", [Network, Web(InIt), Web(InIt, "web-1")]),
        ("terms-address-twice", [Web(), Web("", "web-1"), Address("a", "web"), Address("b", "web-1")]),
        ("terms-volume-of-nobody", [Web(", mounts: { /data: data }")]),
        ("terms-gateway-ring", [Network, Web(InIt), Gateway("door", "gate", 3), Gateway("gate", "door", 4)]),
        ("terms-no-memory", [Web().Replace("64MiB", "0B", StringComparison.Ordinal)]),
        ("terms-no-pids", [Web(", pids: 0")]),
        ("terms-no-scratch", [Web(", scratch: { /tmp: 0B }")]),
        ("reader-volume-absurd", [Web(), "data: { kind: volume, size: 1000TiB }"]),
        ("terms-gateway-hostname-one-label", [Network, Web(InIt), Gateway("door", "web", 3).Replace("door.example.org", "localhost", StringComparison.Ordinal)]),
        ("reader-address-port-twice", [Web(), Address("a", "web").Replace("tcp/443", "tcp/443, tcp/443", StringComparison.Ordinal)]),
        ("reader-health-on-no-port", [Web(", health: { port: 65536 }")]),
        ("reader-health-hardly-fails", [Web(", health: { port: 80, failures: 101 }")]),
        ("closure-vm-kernel-is-text", [Vm]),
    ];

    [Fact]
    public async Task Bad_input_of_every_kind_is_refused_by_plan_with_the_code_of_its_vector()
    {
        using var shell = new TestShell();
        shell.Environment["GRID_HUB"] = real.Hub;
        var farm = $"refused-{Environment.ProcessId}";
        await shell.JsonAsync("ledger", "trust", real.Address, "--yes");
        await shell.JsonAsync("key", "new", "alice", "--no-passphrase");
        await shell.JsonAsync("account", "open", "alice");
        await shell.JsonAsync("farm", "register", farm, "--account", "alice");
        await shell.JsonAsync("offer", "post", farm, "--account", "alice", "-f", shell.Write("offer.yaml", """
            currency: { code: EUR, decimals: 9 }
            prices: { cpu: 3, memory: 7000 }
            kinds: [address, container, gateway, network, vm, volume]
            ceiling: { cpu: 2, memory: 1GiB, ssd: 1GiB, ipv4: 2 }
            notice: 1h
            """));
        await shell.JsonAsync("node", "invite", farm, "-f", shell.PathOf("invite.json"), "--account", "alice");
        using var node = await NodeVoice.JoinAsync(shell.PathOf("invite.json"));
        Directory.CreateDirectory(shell.PathOf("root/boot"));
        shell.Write("root/boot/vmlinuz", "#!/bin/sh\nexec /bin/linux\n");
        shell.Write("root/boot/initrd.img", $"070701{new string('0', 506)}");
        var flist = (await shell.JsonAsync("flist", "build", shell.PathOf("root")))["id"]!.GetValue<string>();
        await shell.JsonAsync("flist", "push", flist);

        foreach (var (vector, workloads) in Drafts)
        {
            var draft = $"name: refused\nnode: {farm}\nworkloads:\n{string.Concat(workloads.Select(w => $"  {w.Replace("FLIST", flist, StringComparison.Ordinal)}\n"))}";
            Assert.Equal((vector, CodeOf(vector)), (vector, await shell.RefusedAsync("plan", shell.Write("grid.yaml", draft))));
        }
    }

    private static string Web(string more = "", string name = "web") => $"{name}: {{ kind: container, flist: {Nowhere}, entry: /bin/web, cpu: 0.1, memory: 64MiB{more} }}";

    private static string Gateway(string name, string backend, int host) =>
        $"{name}: {{ kind: gateway, hostname: {name}.example.org, proof: dns, backend: \"{backend}:8080\", networks: {{ back: 10.1.0.{host} }} }}";

    private static string Address(string name, string workload) => $"{name}: {{ kind: address, ip: 203.0.113.7, ports: [tcp/443], workload: {workload} }}";

    private static string CodeOf(string vector, [CallerFilePath] string here = "") =>
        JsonNode.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(here)!, "..", "vectors", "refusals", $"{vector}.json")))!["code"]!.GetValue<string>();
}
