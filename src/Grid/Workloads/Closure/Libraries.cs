using Grid.Flists;

namespace Grid.Workloads;

/// <summary>
/// Loads what a program wants as its loader would: breadth first, each name searched for once, each file loaded once
/// (glibc elf/dl-deps.c, musl ldso/dynlink.c load_deps).
/// </summary>
internal sealed class Libraries(ContainerRoot root, Evidence evidence, Images images, LibrarySearch search, RefusalSet refusals, ISet<string> files)
{
    private const string Code = RefusalCode.LibraryNotDescribed;

    private readonly List<LoadedObject> _loaded = [];
    private readonly Dictionary<string, LoadedObject> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<int, LoadedObject> _byInode = [];

    public void Load(Place program, ElfImage image, string interpreter, Place interpreterFile, ElfImage loader)
    {
        var main = new LoadedObject(program, program.Path, image, null, search);
        Add(main, image.Soname);
        // The loader is loaded already; who wants it by its name gets it.
        var itself = new LoadedObject(interpreterFile, interpreter, search.IsMusl ? null : loader, null, search);
        Add(itself, interpreter);
        if (!search.IsMusl && loader.Soname is { } soname)
            _byName.TryAdd(soname, itself);
        for (var i = 0; i < _loaded.Count && !evidence.Ended; i++)
        {
            var by = _loaded[i];
            foreach (var needed in by.Image?.Needed ?? [])
                Want(needed, by, image.Kind);
        }
    }

    private void Want(string needed, LoadedObject by, ElfKind kind)
    {
        if (_byName.ContainsKey(needed) || (search.IsMusl && LibrarySearch.IsMuslItself(needed)))
            return;
        var blocked = false;
        foreach (var path in Candidates(needed, by))
        {
            if (evidence.Ended)
                return;
            var place = root.Find(path);
            blocked |= place.Reach == Reach.Writable;
            if (place.Reach != Reach.Found || evidence.Meta[place.Inode].Type != EntryType.File)
                continue;
            if (!_byInode.TryGetValue(place.Inode, out var known))
            {
                if (!Fits(place, kind, by, takesFirst: search.IsMusl || needed.Contains('/'), out var final))
                {
                    if (final)
                        return;
                    continue;
                }
                if (!evidence.Load(by.Depth + 1))
                    return;
                files.Add(place.Path);
                known = new LoadedObject(place, root.Absolute(path), images.Read(place, Code, refusals), by, search);
                Add(known, search.IsMusl ? null : known.Image?.Soname);
            }
            _byName.TryAdd(needed, known);
            return;
        }
        var (who, what) = (RawPath.Show(by.File.Path), RawPath.Show(needed));
        var (code, why) = blocked
            ? (RefusalCode.ExecFromWritable, "which could only be in a volume or scratch")
            : (Code, "which the flist does not hold where its loader looks");
        refusals.Add(code, $"'{who}' wants the library '{what}', {why}.", "Add the library to the flist.");
    }

    private IEnumerable<string> Candidates(string needed, LoadedObject by)
    {
        var names = search.Expand(needed, by);
        return names.SelectMany(name => name.Contains('/') ? [name] : search.Directories(by).Select(d => Join(d, name)));
    }

    // An empty directory in a list is the working directory.
    private static string Join(string directory, string name) => directory.Length == 0 ? name : $"{directory}/{name}";

    /// <summary>Whether the program can load this file. glibc passes by a file for another machine and goes on; musl takes the first of the name.</summary>
    /// <param name="final">when it cannot: whether the search ends with it</param>
    private bool Fits(Place place, ElfKind kind, LoadedObject by, bool takesFirst, out bool final)
    {
        final = true;
        ElfKind? found;
        var name = RawPath.Show(place.Path);
        try
        {
            found = ElfImage.ReadKind(evidence, place.Inode);
        }
        catch (ElfFormatException e)
        {
            refusals.Add(Code, $"The library '{name}', which '{RawPath.Show(by.File.Path)}' wants, cannot be loaded: {e.Message}.");
            return false;
        }
        if (found == kind)
            return true;
        if (found is null)
            return false;
        final = takesFirst;
        if (final)
            refusals.Add(Code, $"The library '{name}', which '{RawPath.Show(by.File.Path)}' wants, is for another machine.");
        return false;
    }

    private void Add(LoadedObject loaded, string? name)
    {
        _loaded.Add(loaded);
        _byInode.TryAdd(loaded.File.Inode, loaded);
        if (name is not null)
            _byName.TryAdd(name, loaded);
    }
}
