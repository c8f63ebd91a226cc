using System.Globalization;
using System.Text;

namespace Grid.Flists.Mount;

/// <summary>One line of /proc/self/mountinfo (proc_pid_mountinfo(5)), as far as it is of use here.</summary>
/// <param name="Device">major:minor</param>
internal sealed record MountLine(int Id, string Device, string Root, string Mountpoint, string Type, string Source);

internal static class MountTable
{
    /// <summary>The mounts of this mount namespace, a later one on the same place last.</summary>
    public static IEnumerable<MountLine> Read()
    {
        foreach (var line in File.ReadLines("/proc/self/mountinfo"))
        {
            if (Parse(line) is { } mount)
                yield return mount;
        }
    }

    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    internal static MountLine? Parse(string line)
    {
        var halves = line.Split(" - ", 2);
        if (halves.Length != 2 || halves[0].Split(' ') is not [var id, _, var device, var root, var mountpoint, ..]
            || halves[1].Split(' ') is not [var type, var source, ..])
            return null;
        return int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? new MountLine(number, device, Unescape(root), Unescape(mountpoint), type, Unescape(source))
            : null;
    }

    // Space, tab, newline, '#' and backslash are written as a backslash and three octal digits.
    private static string Unescape(string text)
    {
        if (!text.Contains('\\'))
            return text;
        var bytes = Encoding.UTF8.GetBytes(text);
        var at = 0;
        for (var i = 0; i < bytes.Length; i++)
        {
            var octal = bytes[i] == '\\' && i + 3 < bytes.Length && bytes.AsSpan(i + 1, 3).IndexOfAnyExceptInRange((byte)'0', (byte)'7') < 0;
            bytes[at++] = octal ? (byte)((bytes[i + 1] - '0') << 6 | (bytes[i + 2] - '0') << 3 | (bytes[i + 3] - '0')) : bytes[i];
            i += octal ? 3 : 0;
        }
        return Encoding.UTF8.GetString(bytes.AsSpan(0, at));
    }
}
