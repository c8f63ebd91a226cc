using System.Globalization;
using Grid.Agreements;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>What a container that the agent started can see and do, as it finds by itself; and how one is started again that does not stay up.</summary>
[Collection("one at a time")]
public sealed class Confined
{
    // Each line is a name, "=" and what was found; what is tried says with which code it ended.
    private const string Look = """
        echo uid=$(id -u)
        echo map=$(cat /proc/self/uid_map)
        while read name value; do case $name in CapEff:|CapBnd:|CapAmb:|NoNewPrivs:|Seccomp:) echo $name=$value;; esac; done < /proc/self/status
        try() { name=$1; shift; "$@" > /dev/null 2>&1; echo $name=$?; }
        try write-root touch /srv/new
        try write-scratch touch /tmp/new
        cp /bin/busybox /tmp/program
        try mark-scratch chmod 755 /tmp/program
        try execute-scratch /tmp/program true
        try execute-own busybox true
        try mount mount -t tmpfs none /srv
        try remount mount -o remount,rw /
        try namespace busybox unshare -U true
        try chroot chroot /srv /bin/busybox true
        try node-date sh -c '! date -s 2020-01-01 2>&1 | grep -q "t set date"'
        try node-setting sh -c 'echo 1 > /proc/sys/kernel/panic'
        try kernel-memory sh -c '[ $(head -c 1 /proc/kcore | wc -c) = 1 ]'
        try device mknod /tmp/disk b 8 0
        echo processes=$(ls /proc | grep -c '^[0-9]')
        echo links=$(grep -c : /proc/net/dev)
        echo environment=$(env | grep -cv '^\(PATH\|PWD\|SHLVL\|HOME\|_\|HOSTNAME\|TERM\)=')
        echo over=0
        exec sleep 100000
        """;

    [Fact]
    public async Task A_container_finds_nothing_but_its_own_files_and_no_way_to_more()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one");
        var flist = await stage.PublishAsync(Trees.Make(stage, "looks", root => Trees.Script(root, "srv/look", $"#!/bin/busybox sh\n{Look}\n")));
        var id = await stage.AgreeAsync(stage.Terms(Trees.Run("looks", node.Id, flist, "sh", "/srv/look") with { Scratch = [new Scratch("/tmp", Bytes.MiB(4))] }), "running");
        await Wait.ForAsync("what it finds", () => node.Log(id, "looks").Contains("over=0", StringComparison.Ordinal), () => node.Log(id, "looks") + stage.Logs());
        var found = node.Log(id, "looks").Split('\n').Select(l => l[(l.LastIndexOf(' ', l.IndexOf('=') is var at and >= 0 ? at : 0) + 1)..].Split('=', 2)).Where(p => p.Length == 2).ToLookup(p => p[0], p => p[1].Trim());
        string Found(string name) => found[name].Single();

        Assert.Equal("1000", Found("uid"));
        // Nobody in here is anybody out there.
        Assert.Equal(["0", "65536"], Found("map").Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var first, var outside, var count] && uint.Parse(outside, CultureInfo.InvariantCulture) >= 65_536 ? [first, count] : [Found("map")]);
        foreach (var set in new[] { "CapEff:", "CapBnd:", "CapAmb:" })
            Assert.Equal("0000000000000000", Found(set));
        Assert.Equal(("1", "2"), (Found("NoNewPrivs:"), Found("Seccomp:")));
        string[] cannot = ["write-root", "execute-scratch", "mount", "remount", "namespace", "chroot", "node-date", "node-setting", "kernel-memory", "device"];
        Assert.Equal([], cannot.Where(c => Found(c) == "0"));
        Assert.Equal(["0", "0", "0"], new[] { "write-scratch", "mark-scratch", "execute-own" }.Select(Found));
        Assert.InRange(int.Parse(Found("processes"), CultureInfo.InvariantCulture), 1, 5);
        Assert.Equal(("1", "0"), (Found("links"), Found("environment")));
    }

    [Fact]
    public async Task What_does_not_stay_up_is_started_again_ever_later()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "one");
        var flist = await stage.PublishAsync(Trees.Make(stage, "falls"));
        var (least, most) = (TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(4));
        var falls = Trees.Run("falls", node.Id, flist, "sh", "-c", "echo began=$(cut -d' ' -f1 /proc/uptime); exit 3") with { Restart = new RestartPolicy(RestartWhen.Always, least, most) };
        var id = await stage.AgreeAsync(stage.Terms(falls, Trees.Web("stays", node.Id, flist)), "ready");
        double[] Began() => [.. node.Log(id, "falls").Split("began=").Skip(1).Select(l => double.Parse(l.Split('\n')[0], CultureInfo.InvariantCulture))];
        await Wait.ForAsync("six starts", () => Began().Length >= 6, () => node.Log(id, "falls") + stage.Logs());
        var gaps = Began().Zip(Began().Skip(1), (a, b) => b - a).ToArray();
        // The first time at once, then twice as long each time.
        for (var i = 1; i < 5; i++)
            Assert.True(gaps[i] >= double.Min(least.TotalSeconds * (1 << (i - 1)), most.TotalSeconds) - 0.05, $"The starts came after {string.Join(", ", gaps)} s.");
        Assert.Contains((await stage.BundleAsync(id)).History.Select(h => h.Statement.Payload.Body).OfType<Receipt>().SelectMany(r => r.Workloads), w => w is { Name: "falls", ExitCode: 3, State: WorkloadState.Failed });
    }
}
