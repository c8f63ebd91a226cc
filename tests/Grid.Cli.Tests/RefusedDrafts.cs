using System.Collections.Frozen;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>What no node would run is refused while it is still a file, with the code that the vectors give it: every vector that a file can say.</summary>
public sealed class RefusedDrafts(RealLedger real)
{
    private static readonly string Nowhere = new FlistId(Digest.Of("flist"u8)).ToString();

    // What no file says: the tool finds the nodes' farms and the price, and numbers the versions; nodes answer for themselves, and report no
    // domain of one label; a real flist is as long as it says and a push is whole; and what a statement may not leave out has a default.
    private static readonly FrozenSet<string> Unsaid =
    [
        "terms-node-brought-twice", "terms-node-of-no-farm", "terms-node-without-workload", "terms-rate-is-not-the-sum", "terms-rate-without-farm", "amendment-other-user", "amendment-version-left-out",
        "ready-key-twice", "ready-port-in-use", "ready-port-twice", "ready-port-zero", "ready-tunnel-left-out", "ready-tunnel-of-nobody", "domain-not-directly",
        "closure-chunk-withheld", "closure-size-untrue", "reader-field-left-out",
    ];

    // What statements cannot even hold, as somebody would have written it.
    private static readonly FrozenDictionary<string, string[]> Unread = new Dictionary<string, string[]>
    {
        ["reader-address-no-port"] = [Web(), Address("[]")],
        ["reader-address-of-five-bytes"] = [Web(), Address("[tcp/443]", "203.0.113.7.0")],
        ["reader-address-port-twice"] = [Web(), Address("[tcp/443, tcp/443]")],
        ["reader-address-port-zero"] = [Web(), Address("[tcp/0]")],
        ["reader-address-no-such-port"] = [Web(), Address("[tcp/65536]")],
        ["reader-backend-no-port"] = [Web(), Door(65_536)],
        ["reader-backend-port-zero"] = [Web(), Door(0)],
        ["reader-cpu-absurd"] = [Web().Replace("cpu: 0.1", "cpu: 1000001", StringComparison.Ordinal)],
        ["reader-field-of-nobody"] = [Web(", stdin-open: true")],
        ["reader-flist-by-name"] = [Web().Replace(Nowhere, "nginx:latest", StringComparison.Ordinal)],
        ["reader-health-hardly-fails"] = [Web(", health: { port: 80, failures: 101 }")],
        ["reader-health-never-fails"] = [Web(", health: { port: 80, failures: 0 }")],
        ["reader-health-on-no-port"] = [Web(", health: { port: 65536 }")],
        ["reader-health-on-port-zero"] = [Web(", health: { port: 0 }")],
        ["reader-kind-of-nobody"] = [Web().Replace("container", "function", StringComparison.Ordinal)],
        ["reader-memory-absurd"] = [Web().Replace("64MiB", "1000TiB", StringComparison.Ordinal)],
        ["reader-name-twice"] = [Web(), Web()],
        ["reader-network-within-itself"] = [Web(), "back: { kind: network, cidr: 10.1.0.1/24, egress: none }"],
        ["reader-pids-absurd"] = [Web(", pids: 32769")],
        ["reader-privileged"] = [Web(", privileged: true")],
        ["reader-scratch-absurd"] = [Web(", scratch: { /tmp: 1000TiB }")],
        ["reader-vm-cpu-absurd"] = [Vm().Replace("cpu: 0.1", "cpu: 1000001", StringComparison.Ordinal)],
        ["reader-vm-flist-by-name"] = [Vm().Replace(Nowhere, "debian:12", StringComparison.Ordinal)],
        ["reader-vm-initrd-left-out"] = [Vm().Replace("initrd: /boot/initrd.img, ", "", StringComparison.Ordinal)],
        ["reader-vm-memory-absurd"] = [Vm().Replace("64MiB", "1000TiB", StringComparison.Ordinal)],
        ["reader-vm-with-a-device"] = [Vm(", devices: []")],
        ["reader-volume-absurd"] = [Web(), "data: { kind: volume, size: 1000TiB }"],
    }.ToFrozenDictionary();

    [Fact]
    public async Task Every_vector_that_a_file_can_say_is_refused_by_plan_with_its_code()
    {
        using var shell = new TestShell();
        var farm = $"refused-{Environment.ProcessId}";
        using var node = await FarmAsync(shell, real.Address, farm);
        using var other = await JoinAsync(shell, farm);
        using var north = await JoinAsync(shell, farm, "example.net");
        using var south = await JoinAsync(shell, farm, "shop.example.org");
        string NodeName(NodeId id) => id == new NodeId(Digest.Of("other node"u8)) ? $"{other.Id}" : $"{node.Id}";
        var written = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
        // What stands against a draft for what is recorded already is told in StandingDrafts.
        var vectors = RefusalVector.All().Where(v => v.Rules != "standing").ToList();
        Assert.Empty(Unsaid.Concat(Unread.Keys).Except(vectors.Select(v => v.Name)));

        // What amendments follow runs.
        var before = await shell.JsonAsync("apply", shell.Write("before.yaml", DraftText.Of("amended", vectors.First(v => v.Rules == "amendment").Before, written, NodeName)), "--yes", "--no-wait");
        await node.ReadyAsync(Id.Parse<AgreementId>(before["agreement"]!.GetValue<string>()));

        shell.Environment["GRID_HUB"] = real.Hub;
        await Assert.AllAsync(vectors.Where(v => !Unsaid.Contains(v.Name)), async vector =>
        {
            var draft = vector.Rules switch
            {
                "reader" => $"name: refused\nnode: {node.Id}\nworkloads:\n{string.Concat(Unread[vector.Name].Select(w => $"  {w}\n"))}",
                "closure" => DraftText.Of("refused", vector.Starts(node.Id, await BuiltAsync(shell, vector), at => new Secret(at, new byte[48 + 64])), NodeName),
                "amendment" => DraftText.Of("amended", vector.Terms, written, NodeName),
                "domain" => DraftText.Of("refused", vector.Terms, written, _ => $"{new[] { node, north, south }.First(n => n.Domain == vector.Domain).Id}"),
                _ => DraftText.Of("refused", vector.Terms, written, NodeName),
            };
            Assert.Equal((vector.Name, vector.Code), (vector.Name, await shell.RefusedAsync("plan", shell.Write("grid.yaml", draft))));
        });
    }

    [Fact]
    public async Task What_cannot_be_read_is_refused_by_the_ledger_with_the_code_of_its_vector()
    {
        using var key = SigningKey.FromSeed(new byte[32]);
        using var http = new HttpClient { BaseAddress = new Uri(real.Address) };
        async Task<string> RefusedAsync(byte[] payload)
        {
            using var content = new ByteArrayContent(Signed(payload, key)) { Headers = { ContentType = new MediaTypeHeaderValue("application/cose") } };
            using var answer = await http.PostAsync("v1/statements", content, TestContext.Current.CancellationToken);
            return JsonNode.Parse(await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken))!["code"]!.GetValue<string>();
        }
        var vectors = RefusalVector.All().ToList();
        // What can be read is refused for what it says, or whose word it is.
        Assert.Equal(RefusalCode.WrongLedger, await RefusedAsync(vectors.First(v => v.Rules == "terms").Payload));
        await Assert.AllAsync(vectors.Where(v => v.Rules == "reader"), async v => Assert.Equal((v.Name, v.Code), (v.Name, await RefusedAsync(v.Payload))));
    }

    private static async Task<NodeVoice> FarmAsync(TestShell shell, string address, string farm)
    {
        await shell.JsonAsync("ledger", "trust", address, "--yes");
        await shell.JsonAsync("key", "new", "alice", "--no-passphrase");
        await shell.JsonAsync("account", "open", "alice");
        await shell.JsonAsync("farm", "register", farm, "--account", "alice");
        await shell.JsonAsync("offer", "post", farm, "--account", "alice", "-f", shell.Write("offer.yaml", """
            currency: { code: EUR, decimals: 9 }
            prices: { cpu: 3, memory: 7000 }
            kinds: [address, container, gateway, network, vm, volume]
            ceiling: { cpu: 100, memory: 100GiB, ssd: 100GiB, hdd: 100GiB, ipv4: 9 }
            notice: 1h
            """));
        return await JoinAsync(shell, farm);
    }

    private static async Task<NodeVoice> JoinAsync(TestShell shell, string farm, string? domain = null)
    {
        var invite = shell.PathOf($"{Guid.NewGuid()}.json");
        await shell.JsonAsync("node", "invite", farm, "-f", invite, "--account", "alice");
        return await NodeVoice.JoinAsync(invite, domain);
    }

    private static async Task<FlistId> BuiltAsync(TestShell shell, RefusalVector vector)
    {
        var root = shell.PathOf(vector.Name);
        Assert.True(vector.Plant(root), "real files are so");
        var flist = (await shell.JsonAsync("flist", "build", root))["id"]!.GetValue<string>();
        await shell.JsonAsync("flist", "push", flist);
        return Id.Parse<FlistId>(flist);
    }

    // COSE_Sign by hand: none of ours signs what it cannot read.
    private static byte[] Signed(byte[] payload, SigningKey key)
    {
        static byte[] Text(byte[] bytes) => bytes.Length < 256 ? [0x58, (byte)bytes.Length, .. bytes] : [0x59, (byte)(bytes.Length >> 8), (byte)bytes.Length, .. bytes];
        byte[] body = Text([0xa1, 0x03, 0x75, .. "application/grid+cbor"u8]), signer = Text([0xa2, 0x01, 0x27, 0x04, 0x58, 0x20, .. key.Public.Value.ToArray()]);
        var signature = key.Sign([0x85, 0x69, .. "Signature"u8, .. body, .. signer, 0x40, .. Text(payload)]);
        return [0xd8, 98, 0x84, .. body, 0xa0, .. Text(payload), 0x81, 0x83, .. signer, 0xa0, .. Text(signature)];
    }

    private static string Web(string more = "") => $"web: {{ kind: container, flist: \"{Nowhere}\", entry: /bin/web, cpu: 0.1, memory: 64MiB{more} }}";

    private static string Vm(string more = "") => $"vm: {{ kind: vm, flist: \"{Nowhere}\", kernel: /boot/vmlinuz, initrd: /boot/initrd.img, cpu: 0.1, memory: 64MiB{more} }}";

    private static string Door(int port) => $"door: {{ kind: gateway, hostname: shop.example.org, tls: terminate, proof: dns, backend: \"web:{port}\", networks: {{ back: 10.1.0.3 }} }}";

    private static string Address(string ports, string ip = "203.0.113.7") => $"a: {{ kind: address, ip: {ip}, ports: {ports}, workload: web }}";
}
