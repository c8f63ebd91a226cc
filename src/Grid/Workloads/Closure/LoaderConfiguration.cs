using System.Text;
using Grid.Flists;

namespace Grid.Workloads;

/// <summary>
/// The directories that the flist's own files add to the loader's: <c>/etc/ld.so.conf</c> for glibc, <c>/etc/ld-musl-ARCH.path</c> for musl.
/// <para>
/// glibc itself reads only <c>/etc/ld.so.cache</c>, which ldconfig derived from these files and directories. The cache is not parsed: whether a library
/// is described is a question about the tree, not about an index of it. But without a cache the directories of ld.so.conf are never looked at.
/// </para>
/// </summary>
internal sealed class LoaderConfiguration(ContainerRoot root, Evidence evidence)
{
    private const int LargestFile = 1 << 16;
    private const int DeepestInclude = 8;
    private const int MostDirectories = 1000;

    private List<string>? _glibc;

    /// <summary>In order; empty when there is no cache.</summary>
    public IReadOnlyList<string> Glibc
    {
        get
        {
            if (_glibc is null)
            {
                _glibc = [];
                if (IsFile(root.Find("/etc/ld.so.cache")))
                    ReadGlibc("/etc/ld.so.conf", [], DeepestInclude);
            }
            return _glibc;
        }
    }

    /// <summary>musl, ldso/dynlink.c: a file beside the loader's directory, or three fixed directories.</summary>
    /// <param name="interpreter">as PT_INTERP names it: PREFIX/lib/ld-musl-ARCH.so.1</param>
    public IReadOnlyList<string> Musl(string interpreter)
    {
        var prefix = RawPath.Directory(RawPath.Directory(interpreter)).TrimEnd('/');
        var name = RawPath.Base(interpreter);
        var machine = name[..(name.IndexOf('.', StringComparison.Ordinal) is var dot and > 0 ? dot : name.Length)];
        var place = root.Find($"{prefix}/etc/{machine}.path");
        return IsFile(place)
            ? ReadText(place)?.Split([':', '\n'], StringSplitOptions.RemoveEmptyEntries) ?? []
            : ["/lib", "/usr/local/lib", "/usr/lib"];
    }

    // elf/ldconfig.c, parse_conf: "include" with patterns, "hwcap" that means nothing any more, else one directory a line.
    private void ReadGlibc(string path, HashSet<int> seen, int depth)
    {
        var place = root.Find(path);
        if (depth == 0 || !IsFile(place) || !seen.Add(place.Inode) || ReadText(place) is not { } text)
            return;
        foreach (var raw in text.Split('\n'))
        {
            var line = raw.Split('#')[0].Trim(' ', '\t', '\r', '\f', '\v');
            var words = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (words is ["include", .. var patterns])
            {
                foreach (var included in patterns.SelectMany(p => Match(p.StartsWith('/') ? p : $"{RawPath.Directory(path)}/{p}")))
                    ReadGlibc(included, seen, depth - 1);
            }
            else if (line.StartsWith('/') && words[0] != "hwcap" && !_glibc!.Contains(line))
            {
                if (_glibc.Count == MostDirectories)
                    evidence.TooLarge($"/etc/ld.so.conf names more than {MostDirectories} directories");
                else
                    _glibc.Add(line);
            }
        }
    }

    /// <summary>The paths that match, as glob(3) in the C locale finds them.</summary>
    private IEnumerable<string> Match(string pattern)
    {
        IEnumerable<string> found = [""];
        foreach (var part in pattern.Length > FlistLimits.Path ? [] : pattern.Split('/', StringSplitOptions.RemoveEmptyEntries))
            found = part.AsSpan().IndexOfAny("*?[") < 0 ? found.Select(f => $"{f}/{part}") : found.SelectMany(f => Children(f, part));
        return found;
    }

    private IEnumerable<string> Children(string path, string pattern)
    {
        if (root.Find(path is "" ? "/" : path) is not { Reach: Reach.Found } place)
            yield break;
        var directory = evidence.Meta[place.Inode];
        for (var i = 0; i < directory.ChildCount && evidence.Step(); i++)
        {
            var name = RawPath.Of(evidence.Meta.Name(directory.FirstChild + i));
            if (Glob.IsMatch(pattern, name))
                yield return $"{path}/{name}";
        }
    }

    private bool IsFile(Place place) => place.Reach == Reach.Found && evidence.Meta[place.Inode].Type == EntryType.File;

    private string? ReadText(Place place)
    {
        var size = evidence.Meta[place.Inode].Size;
        if (size > LargestFile)
        {
            evidence.TooLarge($"'{RawPath.Show(place.Path)}' has more than {LargestFile} bytes");
            return null;
        }
        return evidence.TryRead(place.Inode, 0, (int)size, out var bytes) ? Encoding.Latin1.GetString(bytes.Span) : null;
    }
}

/// <summary>Patterns of one name: <c>*</c>, <c>?</c>, <c>[a-z]</c>, <c>[!a-z]</c> (glob(7)).</summary>
internal static class Glob
{
    public static bool IsMatch(string pattern, string name)
    {
        if (name.StartsWith('.') && !pattern.StartsWith('.'))
            return false;
        // One star is remembered: where a later one matches, an earlier one need not move.
        var (p, n, star, mark) = (0, 0, -1, 0);
        while (n < name.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                (star, mark) = (p++, n);
            }
            else if (p < pattern.Length && MatchOne(pattern, p, name[n], out var next))
            {
                (p, n) = (next, n + 1);
            }
            else if (star >= 0)
            {
                (p, n) = (star + 1, ++mark);
            }
            else
            {
                return false;
            }
        }
        return pattern.AsSpan(p).TrimStart('*').IsEmpty;
    }

    private static bool MatchOne(string pattern, int at, char c, out int next)
    {
        next = at + 1;
        if (pattern[at] == '?')
            return true;
        if (pattern[at] != '[')
            return pattern[at] == c;
        var negated = next < pattern.Length && pattern[next] is '!' or '^';
        var first = at + (negated ? 2 : 1);
        // A bracket that comes first is one of the set.
        var end = first < pattern.Length ? pattern.IndexOf(']', first + 1) : -1;
        if (end < 0)
            return c == '[';
        next = end + 1;
        var hit = false;
        for (var i = first; i < end; i++)
        {
            if (i + 2 < end && pattern[i + 1] == '-')
            {
                hit |= c >= pattern[i] && c <= pattern[i + 2];
                i += 2;
            }
            else
            {
                hit |= c == pattern[i];
            }
        }
        return hit != negated;
    }
}
