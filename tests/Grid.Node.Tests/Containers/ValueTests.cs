using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Grid.Node.Containers;
using Grid.Units;

namespace Grid.Node.Tests.Containers;

/// <summary>The pure parts, without a machine.</summary>
public sealed class ValueTests
{
    private static readonly AgreementId Agreement = new(Digest.Of("agreement"u8));

    [Theory]
    [InlineData("web", true)]
    [InlineData("a-1", true)]
    [InlineData("", false)]
    [InlineData("Web", false)]
    [InlineData("we/b", false)]
    [InlineData("..", false)]
    [InlineData("a123456789012345678901234567890123456", false)]
    public void A_container_id_reads_back_what_it_names(string workload, bool valid)
    {
        var id = new ContainerId(Agreement, workload);
        Assert.Equal(valid, ContainerId.TryParse(id.ToString(), out var read));
        if (valid)
            Assert.Equal(id, read);
    }

    [Fact]
    public void A_list_of_the_kernels_is_read_to_its_end_though_each_read_is_cut_at_an_entry()
    {
        const string List = "/proc/kallsyms";
        Assert.SkipUnless(File.Exists(List), $"This kernel has no {List}, the one list that is long for certain.");
        Assert.Equal(File.ReadAllText(List), Processes.ReadSmall(List));
    }

    [Fact]
    public void A_label_reads_back_and_nothing_else_is_one() => Prop.ForAll<long, int>((generation, restarts) =>
    {
        var label = new ContainerLabel(Digest.Of("v"u8), long.Abs(generation), Digest.Of("s"u8), int.Abs(restarts));
        Assert.Equal(label, ContainerLabel.Parse(label.ToString()));
        Assert.Null(ContainerLabel.Parse(label + "/"));
        Assert.Null(ContainerLabel.Parse(label.ToString().Replace("grid/", "grid/+", StringComparison.Ordinal)));
        Assert.Null(ContainerLabel.Parse(label.ToString()[..^2] + "x"));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Ids_get_ranges_that_nobody_has_the_same_each_time() => Prop.ForAll<byte[]>(seed =>
    {
        var taken = new HashSet<UidRange>();
        for (var i = 0; i < 40; i++)
        {
            var id = new ContainerId(new AgreementId(Digest.Of([.. seed, (byte)i])), "web");
            var range = UidRange.Choose(id, taken);
            Assert.Equal(range, UidRange.Choose(id, taken));
            Assert.NotNull(range);
            Assert.True(taken.Add(range.Value));
            Assert.InRange(range.Value.First, UidRange.Base, int.MaxValue - UidRange.Count + 1u);
            Assert.Equal(0u, range.Value.First % UidRange.Count);
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void When_every_range_is_taken_there_is_none()
    {
        var all = Enumerable.Range(0, UidRange.Slots).Select(i => new UidRange(UidRange.Base + (uint)i * UidRange.Count)).ToHashSet();
        var id = new ContainerId(Agreement, "web");
        Assert.Null(UidRange.Choose(id, all));
        var free = all.Last();
        all.Remove(free);
        Assert.Equal(free, UidRange.Choose(id, all));
    }

    [Fact]
    public void The_bundle_says_what_is_promised()
    {
        using var json = JsonDocument.Parse(OciConfig.Write(Machine.Spec(1, "/flist", "serve", "80"), "/grid/x"));
        var root = json.RootElement;
        Assert.True(root.GetProperty("root").GetProperty("readonly").GetBoolean());
        Assert.True(root.GetProperty("process").GetProperty("noNewPrivileges").GetBoolean());
        Assert.All(root.GetProperty("process").GetProperty("capabilities").EnumerateObject(), set => Assert.Equal(0, set.Value.GetArrayLength()));
        Assert.Equal(
            ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
            root.GetProperty("linux").GetProperty("namespaces").EnumerateArray().Select(n => n.GetProperty("type").GetString()).Order(StringComparer.Ordinal));
        foreach (var mount in root.GetProperty("mounts").EnumerateArray())
        {
            var options = mount.GetProperty("options").EnumerateArray().Select(o => o.GetString()).ToList();
            Assert.Contains("noexec", options);
            Assert.Contains("nosuid", options);
            Assert.Contains("nodev", options);
        }
        var memory = root.GetProperty("linux").GetProperty("resources").GetProperty("memory");
        Assert.Equal(memory.GetProperty("limit").GetInt64(), memory.GetProperty("swap").GetInt64());
    }

    [Fact]
    public void The_same_spec_gives_the_same_bundle() =>
        Assert.Equal(OciConfig.Write(Machine.Spec(1, "/flist", "x")), OciConfig.Write(Machine.Spec(1, "/flist", "x")));

    [Fact]
    public void Private_mounts_keep_the_system_and_what_is_named_and_let_go_of_the_rest()
    {
        var mounts = MountLine.Parse(
        [
            "1 0 8:1 / / rw - ext4 /dev/vda rw",
            "2 1 0:2 / /proc rw - proc proc rw",
            "3 1 0:3 / /run rw - tmpfs tmpfs rw",
            "4 3 0:4 / /run/grid/flists/a ro - fuse grid rw",
            "5 3 0:5 / /run/grid/flists/ab ro - fuse grid rw",
            "6 3 0:6 / /run/grid/flists/a/sub ro - fuse grid rw",
            @"7 1 0:7 / /mnt/with\040space rw - ext4 /dev/vdb rw",
            "8 2 0:8 / /sys/fs/cgroup/unified rw shared:3 - cgroup2 cgroup2 rw",
        ]);
        var plan = PrivateMounts.Plan(mounts, ["/sys/fs/cgroup/unified"], "/run/grid/containers/x", ["/run/grid/flists/a", "/usr/bin/crun"]);
        Assert.Equal(["/mnt/with space", "/run/grid/flists/ab"], plan.Detached);
    }

    [Theory]
    [InlineData("2026-11-22T23:00:22.584259520+00:00 stdout F hello  world", true, "hello  world", false)]
    [InlineData("2026-11-22T23:00:22.584259520+00:00 stderr P part", true, "part", true)]
    [InlineData("2026-11-22T23:00:22.584259520+00:00 stdout F ", true, "", false)]
    [InlineData("2026-11-22T23:00:22.584259520+00:00 stdin F x", false, "", false)]
    [InlineData("yesterday stdout F x", false, "", false)]
    [InlineData("2026-11-22T23:00:22.584259520+00:00 stdout", false, "", false)]
    [InlineData("", false, "", false)]
    public void A_log_line_is_read_in_the_shims_form_only(string text, bool valid, string expected, bool partial)
    {
        var line = ContainerLog.Parse(text, out var part);
        Assert.Equal(valid, line is not null);
        Assert.Equal(partial, part);
        if (valid)
            Assert.Equal(expected, line!.Text);
    }

    [Fact]
    public void Restart_digest_and_spec_equality_follow_the_bytes()
    {
        var spec = Machine.Spec(1, "/flist", "x");
        Assert.Equal(spec, Machine.Spec(1, "/flist", "x"));
        Assert.NotEqual(spec, spec with { Environment = [new("GREETING", "other")] });
        Assert.Equal(Encoding.UTF8.GetString(OciConfig.Write(spec)), Encoding.UTF8.GetString(OciConfig.Write(spec with { })));
    }
}
