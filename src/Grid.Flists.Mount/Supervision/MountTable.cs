using System.Globalization;
using System.Text;

namespace Grid.Flists.Mount;

/// <summary>One line of /proc/self/mountinfo (proc_pid_mountinfo(5)), as far as it is of use here.</summary>
/// <param name="Parent">the mount that it is on, another on the same place included</param>
/// <param name="Device">major:minor</param>
internal sealed record MountLine(int Id, int Parent, string Device, string Root, string Mountpoint, string Type, string Source);

internal static class MountTable
{
    /// <summary>The mounts on one place, the topmost last: each is on the one before, whichever was made first.</summary>
    public static IReadOnlyList<MountLine> At(string mountpoint)
    {
        var left = Read().Where(m => m.Mountpoint == mountpoint).ToList();
        var stack = new List<MountLine>();
        while (left.Find(m => stack.Count == 0 ? left.TrueForAll(other => other.Id != m.Parent) : m.Parent == stack[^1].Id) is { } next)
        {
            stack.Add(next);
            left.Remove(next);
        }
        return stack;
    }

    /// <summary>The mounts of this mount namespace, in the order in which they were made.</summary>
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
        if (halves.Length != 2 || halves[0].Split(' ') is not [var id, var parent, var device, var root, var mountpoint, ..]
            || halves[1].Split(' ') is not [var type, var source, ..])
            return null;
        return int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && int.TryParse(parent, NumberStyles.None, CultureInfo.InvariantCulture, out var on)
            ? new MountLine(number, on, device, Unescape(root), Unescape(mountpoint), type, Unescape(source))
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
