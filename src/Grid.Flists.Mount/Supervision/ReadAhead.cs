using System.Globalization;
using Grid.Flists.Mount.Serving;

namespace Grid.Flists.Mount;

/// <summary>
/// The kernel's read-ahead on a mount: 1 MiB instead of 128 KiB, so that one READ asks a daemon for several chunks and the page cache is of larger pieces, which are
/// mapped at once. Reads are right without.
/// </summary>
internal static class ReadAhead
{
    private const string Queues = "/sys/class/bdi";
    private const int Kilobytes = ReadBuffers.MaxRead / 1024;

    private static readonly Lock _making = new();

    /// <summary>Of a mount that a daemon serves.</summary>
    public static void Raise(string mountpoint)
    {
        if (MountTable.At(mountpoint) is [.., var mount])
            Write(Path.Combine(Queues, mount.Device), Kilobytes);
    }

    /// <summary>
    /// Of a mount that is made from files: as much as where they lie, when that is more. The kernel does not say which queue it gave to it; it is the one that is new.
    /// </summary>
    /// <param name="files">a directory</param>
    public static T Raise<T>(Func<T> make, string type, string files)
    {
        lock (_making)
        {
            var before = Of(type);
            var made = make();
            if (Of(type).Except(before).ToList() is [var added])
                Write(added, int.Max(Kilobytes, Under(files)));
            return made;
        }
    }

    private static string[] Of(string type) => Directory.Exists(Queues) ? Directory.GetFileSystemEntries(Queues, $"{type}-*") : [];

    private static int Under(string directory)
    {
        var below = MountTable.Read().Where(m => m.Mountpoint == "/" || $"{directory}/".StartsWith($"{m.Mountpoint}/", StringComparison.Ordinal)).MaxBy(m => m.Mountpoint.Length);
        var file = Path.Combine(Queues, below?.Device ?? "", "read_ahead_kb");
        return File.Exists(file) && int.TryParse(File.ReadAllText(file), NumberStyles.None | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out var there) ? there : 0;
    }

    private static void Write(string queue, int kilobytes)
    {
        try
        {
            File.WriteAllText(Path.Combine(queue, "read_ahead_kb"), $"{kilobytes}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A read-only or absent sysfs.
        }
    }
}
