namespace Grid.Stories.Tests.Stage;

/// <summary>What a private grid may have left on the machine: whatever has its name.</summary>
internal static class Leftovers
{
    public static void None(string mark)
    {
        Assert.False(Directory.Exists(Path.Combine(Path.GetTempPath(), mark)));
        Assert.False(Directory.Exists($"/run/{mark}"));
        Assert.DoesNotContain(mark, File.ReadAllText("/proc/self/mounts"), StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.EnumerateDirectories("/proc").Where(p => Path.GetFileName(p).All(char.IsAsciiDigit)), p => Mentions(p, "cmdline", mark) || Mentions(p, "environ", mark));
        Assert.DoesNotContain(Directory.EnumerateFiles("/sys/block", "backing_file", Shallow), f => Reads(f).Contains(mark, StringComparison.Ordinal));
        Assert.DoesNotContain(Directory.EnumerateDirectories("/sys/fs/cgroup", mark + "*", Shallow), _ => true);
    }

    private static readonly EnumerationOptions Shallow = new() { RecurseSubdirectories = true, MaxRecursionDepth = 2, IgnoreInaccessible = true };

    private static bool Mentions(string process, string file, string mark) => Reads(Path.Combine(process, file)).Contains(mark, StringComparison.Ordinal);

    private static string Reads(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It ended while we looked, which is what is asked of it.
            return "";
        }
    }
}
