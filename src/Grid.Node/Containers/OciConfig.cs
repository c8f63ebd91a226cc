using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace Grid.Node.Containers;

/// <summary>
/// The runtime's instructions for one container (OCI runtime-spec 1.0, config.json), a pure function of its spec:
/// root read-only, every writable mount noexec, every namespace its own, no capability, no device beyond the harmless five and tty.
/// </summary>
internal static class OciConfig
{
    public const string FileName = "config.json";
    public const string LabelAnnotation = "grid.label";

    private const int CpuPeriod = 100_000;

    // The smallest quota the kernel takes, in microseconds per period.
    private const int LeastQuota = 1_000;

    private const int OpenFiles = 16_384;

    /// <summary>Shared memory that a program may use without asking; counts within its memory.</summary>
    private const string SharedMemory = "size=67108864";

    private static readonly ImmutableArray<string> Namespaces = ["pid", "network", "ipc", "uts", "mount", "user", "cgroup"];

    private static readonly ImmutableArray<string> Masked =
    [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
        "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
    ];

    private static readonly ImmutableArray<string> ReadOnly = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

    /// <summary>The directories that must be in the flist, because a read-only root cannot grow them.</summary>
    public static ImmutableArray<string> MountPoints(ContainerSpec spec) =>
        ["/proc", "/dev", "/sys", .. spec.Scratch.Select(s => s.Path), .. spec.Volumes.Select(v => v.Path)];

    public static byte[] Write(ContainerSpec spec, string cgroup = "/")
    {
        var buffer = new ArrayBufferWriter<byte>(16_384);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("ociVersion", "1.0.2");
            Process(json, spec);
            json.WriteStartObject("root");
            json.WriteString("path", spec.Rootfs);
            json.WriteBoolean("readonly", true);
            json.WriteEndObject();
            json.WriteString("hostname", spec.Id.Workload);
            Mounts(json, spec);
            json.WriteStartObject("annotations");
            json.WriteString("grid.agreement", spec.Id.Agreement.ToString());
            json.WriteString("grid.workload", spec.Id.Workload);
            json.WriteString(LabelAnnotation, spec.Label.ToString());
            json.WriteEndObject();
            Linux(json, spec, cgroup);
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static void Process(Utf8JsonWriter json, ContainerSpec spec)
    {
        json.WriteStartObject("process");
        json.WriteBoolean("terminal", false);
        json.WriteStartObject("user");
        json.WriteNumber("uid", spec.User.Uid);
        json.WriteNumber("gid", spec.User.Gid);
        json.WriteNumber("umask", 0x12); // 022
        json.WriteEndObject();
        Strings(json, "args", [spec.Entry, .. spec.Args]);
        // The runtimes add HOME, from whatever the flist's passwd says, when it is not there. Said here, it is the same everywhere.
        Strings(json, "env", (spec.Environment.Any(e => e.Key == "HOME") ? spec.Environment : spec.Environment.Add(new("HOME", "/"))).Select(e => $"{e.Key}={e.Value}"));
        json.WriteString("cwd", spec.WorkDir);
        json.WriteStartObject("capabilities");
        foreach (var set in (ReadOnlySpan<string>)["bounding", "effective", "inheritable", "permitted", "ambient"])
            Strings(json, set, []);
        json.WriteEndObject();
        json.WriteStartArray("rlimits");
        Limit(json, "RLIMIT_NOFILE", OpenFiles);
        Limit(json, "RLIMIT_CORE", 0);
        json.WriteEndArray();
        json.WriteBoolean("noNewPrivileges", true);
        json.WriteEndObject();
    }

    private static void Mounts(Utf8JsonWriter json, ContainerSpec spec)
    {
        json.WriteStartArray("mounts");
        Mount(json, "/proc", "proc", "proc", "nosuid", "noexec", "nodev");
        Mount(json, "/dev", "tmpfs", "tmpfs", "nosuid", "noexec", "nodev", "mode=755", "size=65536");
        Mount(json, "/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", SharedMemory);
        Mount(json, "/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro");
        // Language runtimes size their heaps by what they read here.
        Mount(json, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro");
        // A mount below another must come after it.
        var mounts = spec.Scratch.Select(s => (s.Path, Type: "tmpfs", Source: "scratch", Options: (string[])
                ["nosuid", "noexec", "nodev", "mode=1777", string.Create(CultureInfo.InvariantCulture, $"size={s.Size.Value}")]))
            .Concat(spec.Volumes.Select(v => (v.Path, Type: "bind", v.Source, Options: (string[])["bind", v.ReadOnly ? "ro" : "rw", "nosuid", "noexec", "nodev"])))
            .OrderBy(m => m.Path, StringComparer.Ordinal);
        foreach (var (path, type, source, options) in mounts)
            Mount(json, path, type, source, options);
        foreach (var device in spec.Devices)
            Mount(json, device.Path, "bind", device.Source, "bind", "ro", "nosuid", "noexec");
        json.WriteEndArray();
    }

    private static void Linux(Utf8JsonWriter json, ContainerSpec spec, string cgroup)
    {
        json.WriteStartObject("linux");
        json.WriteString("cgroupsPath", cgroup);
        json.WriteStartArray("namespaces");
        foreach (var type in Namespaces)
        {
            json.WriteStartObject();
            json.WriteString("type", type);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        foreach (var map in (ReadOnlySpan<string>)["uidMappings", "gidMappings"])
        {
            json.WriteStartArray(map);
            json.WriteStartObject();
            json.WriteNumber("containerID", 0);
            json.WriteNumber("hostID", spec.Uids.First);
            json.WriteNumber("size", UidRange.Count);
            json.WriteEndObject();
            json.WriteEndArray();
        }
        Resources(json, spec);
        SeccompProfile.Write(json);
        json.WriteString("rootfsPropagation", "rprivate");
        Strings(json, "maskedPaths", Masked);
        Strings(json, "readonlyPaths", ReadOnly);
        json.WriteEndObject();
    }

    private static void Resources(Utf8JsonWriter json, ContainerSpec spec)
    {
        json.WriteStartObject("resources");
        json.WriteStartObject("memory");
        json.WriteNumber("limit", spec.Memory.Value);
        // Memory and swap together: as much as memory alone is no swap.
        json.WriteNumber("swap", spec.Memory.Value);
        json.WriteEndObject();
        json.WriteStartObject("cpu");
        json.WriteNumber("quota", long.Max(LeastQuota, checked(spec.Cpu.Value * (CpuPeriod / 1000))));
        json.WriteNumber("period", CpuPeriod);
        json.WriteEndObject();
        json.WriteStartObject("pids");
        json.WriteNumber("limit", spec.Pids);
        json.WriteEndObject();
        json.WriteStartArray("devices");
        json.WriteStartObject();
        json.WriteBoolean("allow", false);
        json.WriteString("access", "rwm");
        json.WriteEndObject();
        foreach (var device in spec.Devices)
        {
            json.WriteStartObject();
            json.WriteBoolean("allow", true);
            json.WriteString("type", "c");
            json.WriteNumber("major", device.Major);
            json.WriteNumber("minor", device.Minor);
            json.WriteString("access", "rw");
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Mount(Utf8JsonWriter json, string destination, string type, string source, params ReadOnlySpan<string> options)
    {
        json.WriteStartObject();
        json.WriteString("destination", destination);
        json.WriteString("type", type);
        json.WriteString("source", source);
        Strings(json, "options", [.. options]);
        json.WriteEndObject();
    }

    private static void Limit(Utf8JsonWriter json, string type, int value)
    {
        json.WriteStartObject();
        json.WriteString("type", type);
        json.WriteNumber("soft", value);
        json.WriteNumber("hard", value);
        json.WriteEndObject();
    }

    private static void Strings(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
            json.WriteStringValue(value);
        json.WriteEndArray();
    }
}
