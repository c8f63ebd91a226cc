using Grid.Units;

namespace Grid.Flists.Cache;

/// <summary>The trees mounted in this mount namespace, by the source that each mount of an flist has: an image's name (<see cref="WholeFlist.Image"/>).</summary>
public static class MountedRoots
{
    public static IEnumerable<Digest> Read() => File.ReadLines("/proc/self/mountinfo").Select(Parse).OfType<Digest>();

    /// <summary>The tree of one line, whose source is the second word after the dash (proc_pid_mountinfo(5)): <c>… - erofs /…/grid:fl1…@root ro,…</c>.</summary>
    public static Digest? Parse(string line) =>
        line.Split(" - ", 2) is [_, var after] && after.Split(' ') is [_, var source, ..] ? WholeFlist.RootOf(Path.GetFileName(source.AsSpan())) : null;
}
