using System.Text;
using Grid.Flists;

namespace Grid.Workloads;

/// <summary>An object that the loader has in memory.</summary>
/// <param name="file">where it is</param>
/// <param name="opened">the path under which it was opened</param>
/// <param name="image">null while bytes are missing, and for what wants nothing</param>
/// <param name="by">the object that wanted it first; null for the program and its loader</param>
internal sealed class LoadedObject(Place file, string opened, ElfImage? image, LoadedObject? by, LibrarySearch search)
{
    public Place File { get; } = file;

    /// <summary>What $ORIGIN stands for in it. Of a program this is without links, of a library as it was found.</summary>
    public string Origin { get; } = RawPath.Directory(opened);

    public ElfImage? Image { get; } = image;

    public LoadedObject? By { get; } = by;

    public int Depth { get; } = by is null ? 0 : by.Depth + 1;

    /// <summary>The directories of DT_RPATH; none where DT_RUNPATH takes its place.</summary>
    public string[] Rpath => field ??= Image is { Runpath: null, Rpath: { } paths } ? search.Split(paths, this) : [];

    public string[] Runpath => field ??= Image?.Runpath is { } paths ? search.Split(paths, this) : [];
}

/// <summary>Where the loader of one program looks for a library, in its order.</summary>
/// <param name="environment">LD_LIBRARY_PATH</param>
/// <param name="interpreter">as PT_INTERP names it; empty when there is none</param>
internal sealed class LibrarySearch(ElfKind kind, string programDirectory, string? environment, string interpreter, LoaderConfiguration configuration)
{
    public bool IsMusl { get; } = RawPath.Base(interpreter).StartsWith("ld-musl-", StringComparison.Ordinal);

    /// <summary>The directories of LD_LIBRARY_PATH.</summary>
    public string[] FromEnvironment => field ??= environment is null or "" ? []
        : IsMusl ? environment.Split([':', '\n'], StringSplitOptions.RemoveEmptyEntries)
        : [.. environment.Split([':', ';']).SelectMany(d => LoaderTokens.Expand(d, programDirectory, kind))];

    public IEnumerable<string> Directories(LoadedObject wantedBy) => IsMusl ? Musl(wantedBy) : Glibc(wantedBy);

    /// <summary>musl: the names that its one library answers to itself (ldso/dynlink.c, load_library).</summary>
    public static bool IsMuslItself(string name) => name.StartsWith("lib", StringComparison.Ordinal)
        && name.IndexOf('.', StringComparison.Ordinal) is var dot and > 3 && name[3..dot] is "c" or "pthread" or "rt" or "m" or "dl" or "util" or "xnet";

    /// <summary>A name from a file with what the loader puts in place of its tokens: several where that depends on how glibc was built.</summary>
    public IEnumerable<string> Expand(string text, LoadedObject of) =>
        IsMusl ? [text] : LoaderTokens.Expand(text, of.Origin, kind);

    /// <summary>The directories of a list in a file. musl knows no token but $ORIGIN and passes by lists with another.</summary>
    public string[] Split(string paths, LoadedObject of)
    {
        if (!IsMusl)
            return [.. paths.Split(':').SelectMany(p => LoaderTokens.Expand(p, of.Origin, kind))];
        var parts = paths.Split([':', '\n'], StringSplitOptions.RemoveEmptyEntries);
        return parts.Any(p => LoaderTokens.WithOrigin(p, "").Contains('$')) ? [] : [.. parts.Select(p => LoaderTokens.WithOrigin(p, of.Origin))];
    }

    // glibc, elf/dl-load.c, _dl_map_object.
    private IEnumerable<string> Glibc(LoadedObject wantedBy)
    {
        if (wantedBy.Image?.Runpath is null)
        {
            for (var o = wantedBy; o is not null; o = o.By)
            {
                foreach (var directory in o.Rpath)
                    yield return directory;
            }
        }
        foreach (var directory in FromEnvironment)
            yield return directory;
        foreach (var directory in wantedBy.Runpath)
            yield return directory;
        foreach (var directory in configuration.Glibc)
            yield return directory;
        if (wantedBy.Image?.NoDefaultDirectories is true)
            yield break;
        foreach (var directory in LoaderTokens.DefaultDirectories(kind))
            yield return directory;
    }

    // musl, ldso/dynlink.c, load_library and fixup_rpath: DT_RUNPATH is inherited as DT_RPATH is, and counts before it.
    private IEnumerable<string> Musl(LoadedObject wantedBy)
    {
        foreach (var directory in FromEnvironment)
            yield return directory;
        for (var o = wantedBy; o is not null; o = o.By)
        {
            foreach (var directory in o.Image?.Runpath is null ? o.Rpath : o.Runpath)
                yield return directory;
        }
        foreach (var directory in configuration.Musl(interpreter))
            yield return directory;
    }
}

/// <summary>Dynamic string tokens and built-in directories (ld.so(8)).</summary>
internal static class LoaderTokens
{
    /// <summary>
    /// $LIB is fixed when glibc is built, differently by every distribution; all are tried. For x86-64 $PLATFORM is what all processors have.
    /// </summary>
    public static IEnumerable<string> Expand(string text, string origin, ElfKind kind)
    {
        if (!text.Contains('$'))
            return [text];
        var plain = Replace(WithOrigin(text, origin), "PLATFORM", kind.Machine switch
        {
            ElfKind.I386 => "i686",
            ElfKind.Arm64 => "aarch64",
            _ => "x86_64",
        });
        return LibraryNames(kind).Select(lib => Replace(plain, "LIB", lib)).Distinct();
    }

    public static string WithOrigin(string text, string origin) => Replace(text, "ORIGIN", origin);

    public static IEnumerable<string> DefaultDirectories(ElfKind kind) => LibraryNames(kind).SelectMany(lib => new[] { $"/{lib}", $"/usr/{lib}" });

    private static string[] LibraryNames(ElfKind kind) => kind.Machine switch
    {
        ElfKind.I386 => ["lib/i386-linux-gnu", "lib"],
        ElfKind.Arm64 => ["lib/aarch64-linux-gnu", "lib64", "lib"],
        _ => ["lib/x86_64-linux-gnu", "lib64", "lib"],
    };

    // elf/dl-load.c, is_dst: in braces, or not followed by what could be more of a name. What outgrows a path leads nowhere and is cut.
    private static string Replace(string text, string token, string value)
    {
        var result = new StringBuilder(text.Length);
        for (var at = 0; at < text.Length && result.Length <= FlistLimits.Path;)
        {
            var length = text[at] == '$' ? TokenLength(text.AsSpan(at + 1), token) : 0;
            if (length > 0)
                result.Append(value);
            else
                result.Append(text[at]);
            at += 1 + length;
        }
        return result.ToString();
    }

    private static int TokenLength(ReadOnlySpan<char> text, string token)
    {
        if (text.StartsWith($"{{{token}}}", StringComparison.Ordinal))
            return token.Length + 2;
        var more = text.StartsWith(token, StringComparison.Ordinal) ? text[token.Length..] : "_";
        return more.IsEmpty || !(char.IsAsciiLetterOrDigit(more[0]) || more[0] == '_') ? token.Length : 0;
    }
}
