using System.Runtime.InteropServices;
using Grid.Node.Machines;
using Grid.Nodes;
using Grid.Units;

namespace Grid.Node.Agent;

/// <summary>What this machine has, read from the kernel, and what of it the node keeps for itself.</summary>
public static class HostCapacity
{
    /// <summary>Threads and memory.</summary>
    public static Capacity Read() => Capacity.None with { Cpu = new MilliCores(Environment.ProcessorCount * 1000L), Memory = Memory() };

    /// <summary>A tenth of each, and no less than a quarter of a core and 256 MiB: the agent, the mounts and the kernel live on it.</summary>
    public static Capacity Reserve(Capacity all) => new(
        new MilliCores(long.Min(all.Cpu.Value, long.Max(250, all.Cpu.Value / 10))),
        new Bytes(long.Min(all.Memory.Value, long.Max(Bytes.MiB(256).Value, all.Memory.Value / 10))),
        new Bytes(all.Ssd.Value / 10), new Bytes(all.Hdd.Value / 10), 0);

    /// <param name="accelerator">what runs machines; said where it is not the processor itself</param>
    public static Hardware Hardware(string? accelerator = null) => new(
        Cut((accelerator is Accelerator.Tcg ? "machines are emulated (tcg); " : "") + (Field("/proc/cpuinfo", "model name") ?? "unknown")), RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant(),
        Cut(File.ReadAllText("/proc/sys/kernel/osrelease").Trim()));

    private static Bytes Memory()
    {
        var text = Field("/proc/meminfo", "MemTotal") ?? throw new IOException("/proc/meminfo has no MemTotal.");
        return Bytes.KiB(long.Parse(text.Split(' ')[0]));
    }

    private static string? Field(string file, string name) => File.ReadLines(file)
        .FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal))?.Split(':', 2)[1].Trim();

    private static string Cut(string text) => text.Length <= 100 ? text : text[..100];
}
