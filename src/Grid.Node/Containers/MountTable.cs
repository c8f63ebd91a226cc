using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Grid.Node.Containers.Interop;

namespace Grid.Node.Containers;

/// <summary>One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).</summary>
/// <param name="Id">of this mount, and of no other that there is</param>
/// <param name="Root">which directory or file of the file system is mounted there</param>
/// <param name="Source">what whoever mounted it called it</param>
internal sealed record MountLine(ulong Id, string Root, string Point, ImmutableArray<string> Options, string Type, string Source, ImmutableArray<string> SuperOptions)
{
    /// <summary>The file system writes no more, whatever the mount says: one that finds its disk wrong stops by itself. Newer kernels' ext4 says so in a word of its own.</summary>
    public bool IsStopped => SuperOptions.Contains("ro") || SuperOptions.Contains("emergency_ro");

    public static ImmutableArray<MountLine> Read(string process) => Parse(File.ReadAllLines($"/proc/{process}/mountinfo"));

    /// <summary>Takes away what is mounted below a directory, deepest first, in use or not; never the directory itself.</summary>
    public static void DetachBelow(string directory)
    {
        foreach (var mount in Read("self").Where(m => m.Point.StartsWith(directory + "/", StringComparison.Ordinal)).Reverse())
            Posix.Detach(mount.Point);
    }

    /// <summary>True when the path is the ancestor itself or lies below it.</summary>
    public static bool Within(string path, string ancestor) =>
        path == ancestor || ancestor == "/" || (path.Length > ancestor.Length && path.StartsWith(ancestor, StringComparison.Ordinal) && path[ancestor.Length] == '/');

    public static ImmutableArray<MountLine> Parse(IEnumerable<string> lines) => [.. lines.Select(ParseLine)];

    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    private static MountLine ParseLine(string line)
    {
        var fields = line.Split(' ');
        var dash = Array.IndexOf(fields, "-", 6);
        if (dash < 0 || fields.Length < dash + 4)
            throw new FormatException($"The mount line '{line}' has no '-' or too few fields.");
        return new MountLine(ulong.Parse(fields[0], CultureInfo.InvariantCulture), Unescape(fields[3]), Unescape(fields[4]), [.. fields[5].Split(',')], fields[dash + 1], Unescape(fields[dash + 2]), [.. fields[dash + 3].Split(',')]);
    }

    // Space, tab, newline and backslash are written as three octal digits.
    private static string Unescape(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
            return text;
        var result = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 3 < text.Length)
            {
                result.Append((char)Convert.ToInt32(text.Substring(i + 1, 3), 8));
                i += 3;
            }
            else
            {
                result.Append(text[i]);
            }
        }
        return result.ToString();
    }
}
