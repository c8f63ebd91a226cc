using Grid.Flists.Mount.Serving;

namespace Grid.Flists.Mount;

/// <summary>The kernel's read-ahead on one mount: 1 MiB instead of 128 KiB, so that one READ asks for several chunks. Reads are right without.</summary>
internal static class ReadAhead
{
    public static void Raise(string mountpoint)
    {
        if (MountTable.Read().LastOrDefault(m => m.Mountpoint == mountpoint) is not { } mount)
            return;
        try
        {
            File.WriteAllText($"/sys/class/bdi/{mount.Device}/read_ahead_kb", $"{ReadBuffers.MaxRead / 1024}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A read-only or absent sysfs.
        }
    }
}
