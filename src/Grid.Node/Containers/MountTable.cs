using System.Collections.Immutable;
using System.Text;

namespace Grid.Node.Containers;

/// <summary>One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).</summary>
/// <param name="Root">which directory or file of the file system is mounted there</param>
internal sealed record MountLine(string Root, string Point, ImmutableArray<string> Options, string Type, ImmutableArray<string> SuperOptions)
{
    public static ImmutableArray<MountLine> Read(string process) => Parse(File.ReadAllLines($"/proc/{process}/mountinfo"));

    public static ImmutableArray<MountLine> Parse(IEnumerable<string> lines) => [.. lines.Select(ParseLine)];

    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    private static MountLine ParseLine(string line)
    {
        var fields = line.Split(' ');
        var dash = Array.IndexOf(fields, "-", 6);
        if (dash < 0 || fields.Length < dash + 4)
            throw new FormatException($"The mount line '{line}' has no '-' or too few fields.");
        return new MountLine(Unescape(fields[3]), Unescape(fields[4]), [.. fields[5].Split(',')], fields[dash + 1], [.. fields[dash + 3].Split(',')]);
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
