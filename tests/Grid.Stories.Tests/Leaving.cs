using System.Diagnostics;
using System.Net;
using Grid.Agreements;
using Grid.Networks;
using Grid.Node;
using Grid.Node.Networks;
using Grid.Stories.Tests.Stage;

namespace Grid.Stories.Tests;

/// <summary>That every trace is gone says little unless each would be seen: here each is made by hand.</summary>
[Collection("one at a time")]
public sealed class Leaving
{
    [Fact]
    public async Task Whatever_stays_of_workloads_is_seen_and_who_clears_a_node_takes_the_socket_of_a_killed_tunnel()
    {
        UnderlayNetwork.NeedsTunnels();
        await using var stage = await Stage.Stage.SetAsync();
        using var wire = new UnderlayNetwork();
        using var disk = new StageDisk(stage.At("disk"), whole: true);
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one", wire, _ => Task.FromResult<IEnumerable<string>>(["--disk", $"ssd:{disk.Volumes}"]));
        var container = Trees.Run("alone", node.Id, await stage.PublishAsync(Trees.Make(stage, "alone")), "sleep", "100000") with { Networks = [new NetworkAddress("net", IPAddress.Parse("10.42.0.2"))] };
        var id = await stage.AgreeAsync(stage.Terms(container, new Network("net", IPNetwork.Parse("10.42.0.0/24"), Egress.None)), "running");
        // Agent and tunnel are killed, and whoever clears the node finds what is left of both; a new agent makes it anew.
        await node.KillAgentAsync();
        var socket = WireGuardSocket.PathOf(new TunnelId(id, new Membership("net", "alone")).InterfaceName(TunnelNames.Tunnel, node.Run));
        node.Kill(Assert.Single(node.Tunnels()));
        await Wait.ForAsync("its socket, if it had one, to be of age", () => !File.Exists(socket) || DateTime.UtcNow - File.GetLastWriteTimeUtc(socket) > TimeSpan.FromSeconds(2), stage.Logs);
        await node.CommandAsync(ClearProgram.Verb, "--data", node.Data, "--run", node.Run, "--cgroup", node.Cgroup);
        Assert.False(File.Exists(socket), socket);
        await node.StartAsync();
        await Wait.ForAsync("all of it to be made anew, which the end would overtake", () => node.Tunnels().Count == 1, stage.Logs);
        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());

        // Both families, each with what leads to an address and what leads from it.
        foreach (var (family, address, bits) in new[] { ("-4", "198.51.100.1", 32), ("-6", "2001:db8::1", 128) })
        {
            Led(family, "rule", $"from {address}", "pref 5210 lookup 7777");
            Led(family, "route", $"{address}/{bits}", "dev lo");
            Led(family, "route", "default", "dev lo table 7777");
            Led(family, "neigh", $"proxy {address}", "dev eth0");
        }
        UnderlayNetwork.Set(node.Space, "link", "add", "left", "type", "veth", "peer", "name", "right");
        Assert.Equal(["interface left", "interface right"], node.EveryTrace().Order(StringComparer.Ordinal));
        UnderlayNetwork.Set(node.Space, "link", "del", "left");

        Left(socket, "socket");
        var image = Path.Combine(disk.Volumes, $"{id}.data.image");
        Left(image, "file");
        File.WriteAllBytes(image, new byte[4096]);
        var loop = Losetup("--find", "--show", image);
        Assert.Equal([$"file {image}", $"loop device over {image}"], node.EveryTrace().Order(StringComparer.Ordinal));
        Losetup("--detach", loop);
        File.Delete(image);
        Assert.Empty(node.EveryTrace());

        void Led(string family, string thing, string what, string where)
        {
            string[] words = [.. what.Split(' '), .. where.Split(' ')];
            UnderlayNetwork.Set(node.Space, [family, thing, "add", .. words]);
            Assert.Contains(what.Split(' ')[^1].Split('/')[0], Assert.Single(node.EveryTrace()), StringComparison.Ordinal);
            UnderlayNetwork.Set(node.Space, [family, thing, "del", .. words]);
        }

        void Left(string path, string what)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, []);
            Assert.Equal([$"{what} {path}"], node.EveryTrace());
            File.Delete(path);
        }
    }

    private static string Losetup(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("/usr/sbin/losetup", arguments) { RedirectStandardOutput = true })!;
        var said = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return said;
    }
}
