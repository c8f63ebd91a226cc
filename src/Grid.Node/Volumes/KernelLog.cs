using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Grid.Node.Volumes.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes;

/// <summary>A disk that could not do what it was asked.</summary>
/// <param name="Disk">its name in /sys/block</param>
/// <param name="Kind">the kernel's word: "I/O", "critical medium"</param>
/// <param name="Operation">READ, WRITE or FLUSH</param>
/// <param name="Sector">of 512 bytes</param>
internal sealed partial record DiskError(string Disk, string Kind, string Operation, long Sector)
{
    // 3,6697,25964357321,-;I/O error, dev sda, sector 20498 op 0x0:(READ) flags 0x8800 phys_seg 1 prio class 2
    [GeneratedRegex(@"\A(?<from>[0-9]{1,9}),[^;\n]*;(?<kind>[A-Za-z/ ]{1,40}) error, dev (?<disk>[^\s,]{1,64}), sector (?<sector>[0-9]{1,18}) op 0x[0-9a-f]+:\((?<operation>READ|WRITE|FLUSH)\)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex Line();

    // A path of NVMe's own multipath, where there are several or could be: nvme0c1n1 is one to nvme0n1.
    [GeneratedRegex(@"\A(?<controller>nvme[0-9]+)c[0-9]+(?<space>n[0-9]+)\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex NvmePath();

    /// <param name="record">of /dev/kmsg (Documentation/ABI/testing/dev-kmsg)</param>
    /// <returns>null when it says something else, or is not the kernel's own: what a program writes there bears another facility</returns>
    public static DiskError? Parse(string record)
    {
        var found = Line().Match(record);
        // The level is the lower three bits, the facility those above; the kernel's is 0.
        if (!found.Success || int.Parse(found.Groups["from"].Value, CultureInfo.InvariantCulture) > 7)
            return null;
        // A discard that a disk does not know, or what would have had to wait, is no fault of it.
        if (found.Groups["kind"].Value is "operation not supported" or "nonblocking retry")
            return null;
        return new DiskError(
            NvmePath().Replace(found.Groups["disk"].Value, "${controller}${space}"), found.Groups["kind"].Value, found.Groups["operation"].Value,
            long.Parse(found.Groups["sector"].Value, CultureInfo.InvariantCulture));
    }

    public override string ToString() => $"{Kind} error of {Disk}, {Operation} at sector {Sector}";
}

/// <summary>
/// What the kernel says from now on of disks that err. A file system counts the errors of its own records; one under somebody's file is told to whoever reads that
/// file, which is a workload, and to this log. What was said before, while no agent listened, or among too many at once (the kernel says ten in five seconds, whosever
/// they are), is said again when the sector is read again.
/// </summary>
internal sealed class KernelLog : IDisposable
{
    private const string Device = "/dev/kmsg";

    // A look is not held up by a log that is written faster than it is read.
    private const int MostAtOnce = 10_000;

    private readonly SafeFileHandle _file;

    private KernelLog(SafeFileHandle file) => _file = file;

    /// <returns>null and why</returns>
    public static KernelLog? Open(out string? why)
    {
        try
        {
            why = null;
            return new KernelLog(Kmsg.OpenAtEnd(Device));
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            why = $"the kernel's log cannot be read: {e.Message}";
            return null;
        }
    }

    public IEnumerable<DiskError> Read()
    {
        var record = new byte[Kmsg.LongestRecord];
        for (var i = 0; i < MostAtOnce && Kmsg.Read(_file, record) is { } length; i++)
        {
            if (DiskError.Parse(Encoding.UTF8.GetString(record, 0, length)) is { } error)
                yield return error;
        }
    }

    public void Dispose() => _file.Dispose();
}
