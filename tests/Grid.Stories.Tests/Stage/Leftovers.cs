using System.Diagnostics;
using Grid.Node.Networks;

namespace Grid.Stories.Tests.Stage;

/// <summary>What a private grid may have left on the machine: whatever has its name, and what nodes make in the network, which has none of it.</summary>
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
        Assert.DoesNotContain(File.ReadLines("/proc/self/net/dev").Select(l => l.Split(':')[0].Trim()), TunnelNames.IsOurs);
        Assert.DoesNotContain("grid_", Tables(), StringComparison.Ordinal);
    }

    private static string Tables()
    {
        using var nft = Process.Start(new ProcessStartInfo("/usr/sbin/nft", ["list", "tables"]) { RedirectStandardOutput = true })!;
        var said = nft.StandardOutput.ReadToEnd();
        nft.WaitForExit();
        return said;
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
