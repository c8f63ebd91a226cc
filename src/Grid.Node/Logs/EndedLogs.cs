using Grid.Node.Containers;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Logs;

/// <summary>
/// The logs of workloads that are no more. Their users may read them for <see cref="Kept"/>, then they are deleted, and so are those of flists' mounts. A log
/// says itself since when it is over, to whatever agent comes: nobody may write to it any more, and the time of its last change is that moment.
/// </summary>
internal sealed class EndedLogs(string directory, TimeProvider time)
{
    public static readonly TimeSpan Kept = TimeSpan.FromDays(7);

    /// <summary>So much later than due one may go; a look at all of them is spared that often.</summary>
    public static readonly TimeSpan Sweep = TimeSpan.FromHours(1);

    private const UnixFileMode Written = UnixFileMode.UserRead | UnixFileMode.UserWrite, Over = UnixFileMode.UserRead;

    private long? _swept;

    /// <summary>Does nothing before <see cref="Sweep"/> is over since the last time.</summary>
    /// <param name="isHeld">true for a workload that is wished for, or of which anything is there</param>
    /// <param name="isMounted">true for an flist that is wished for, or mounted</param>
    /// <exception cref="IOException">the disk errs; it is tried at the next sweep</exception>
    public void Clear(Func<WorkloadKey, bool> isHeld, Func<FlistId, bool> isMounted)
    {
        if ((_swept is { } last && time.GetElapsedTime(last) < Sweep) || !Directory.Exists(directory))
            return;
        _swept = time.GetTimestamp();
        foreach (var path in Directory.EnumerateFiles(directory, "*.log"))
        {
            // The gateways' is here too, and goes on.
            var name = Path.GetFileNameWithoutExtension(path);
            if (ContainerId.TryParse(name, out var id))
                Clear(path, isHeld(id.Key));
            else if (Id.TryParse<FlistId>(name, out var flist))
                Clear(path, isMounted(flist));
        }
    }

    private void Clear(string path, bool held)
    {
        var (over, now) = (File.GetUnixFileMode(path) == Over, time.GetUtcNow());
        if (held && over)
        {
            // An amendment wants it again.
            File.SetUnixFileMode(path, Written);
        }
        else if (!held && !over)
        {
            // In this order: what is cut short is done again, and counts from then.
            File.SetLastWriteTimeUtc(path, now.UtcDateTime);
            File.SetUnixFileMode(path, Over);
        }
        else if (!held && now - File.GetLastWriteTimeUtc(path) >= Kept)
        {
            File.Delete(path);
        }
    }
}
