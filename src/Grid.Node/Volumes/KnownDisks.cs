using System.Collections.Immutable;
using System.Security.Cryptography;

namespace Grid.Node.Volumes;

/// <summary>
/// Which data disk was last in which directory, so that a mount point without its disk is not taken for an empty disk after a reboot. Beside the agent's other files:
/// <code>6f1c… /data</code>
/// </summary>
internal sealed class KnownDisks(string path)
{
    private const int LargestFile = 1 << 20;

    /// <returns>why the disk is not what was there; null when it is, or nothing was known</returns>
    /// <exception cref="IOException">what is known cannot be read or written</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">the disk cannot be written</exception>
    public string? Meet(OpenDisk disk)
    {
        var known = Read();
        if (known.TryGetValue(disk.Directory, out var expected))
        {
            return disk.Id == expected ? null
                : $"the data disk {disk.Directory} cannot be used: it is not the one that was there; mount that one, or take its line out of {path} when it is gone for good";
        }
        disk.Id ??= Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        var aside = path + ".new";
        using (var file = new StreamWriter(aside, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
        {
            foreach (var (directory, id) in known.SetItem(disk.Directory, disk.Id))
                file.Write($"{id} {directory}\n");
        }
        File.Move(aside, path, overwrite: true);
        return null;
    }

    private ImmutableSortedDictionary<string, string> Read()
    {
        if (!File.Exists(path))
            return ImmutableSortedDictionary<string, string>.Empty;
        if (new FileInfo(path).Length > LargestFile)
            throw new IOException($"{path} is longer than {LargestFile} bytes.");
        return File.ReadLines(path).Select(l => l.Split(' ', 2)).Where(l => l.Length == 2).GroupBy(l => l[1]).ToImmutableSortedDictionary(g => g.Key, g => g.Last()[0], StringComparer.Ordinal);
    }
}
