using System.Buffers;
using System.Collections.Immutable;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Cache;

/// <summary>
/// An flist of which everything is here and was hashed in this boot, with the image by which a kernel shows it and needs nobody's help. What a kernel has mounted it
/// holds open; until then the image or a device may be evicted, and the mount fails.
/// </summary>
public sealed class WholeFlist
{
    /// <summary>What the name of every image begins with, so that a mount tells what it is.</summary>
    public const string Scheme = "grid:";

    private static readonly SearchValues<char> _hexadecimal = SearchValues.Create("0123456789abcdef");

    private WholeFlist(FlistId id, Digest root, CacheFiles files, ImmutableArray<Digest> devices)
    {
        Images = files.Images;
        Image = NameOf(id, root);
        Objects = files.Objects;
        Devices = [.. devices.Select(CacheFiles.ObjectName)];
    }

    /// <summary>The directory in which the image is, and its name there: <c>grid:fl1…@root</c>.</summary>
    public string Images { get; }

    /// <inheritdoc cref="Images"/>
    public string Image { get; }

    /// <summary>The directory below which its devices are, the files that are not in it; and where, in the order in which the image numbers them.</summary>
    public string Objects { get; }

    /// <inheritdoc cref="Objects"/>
    public ImmutableArray<string> Devices { get; }

    /// <summary>Null when something of it is missing, was changed since it was hashed, or was not hashed in this boot. No hub is asked.</summary>
    /// <param name="cache">the directory of a cache, which need not exist</param>
    /// <exception cref="IOException">the cache cannot be read</exception>
    public static WholeFlist? TryFind(string cache, FlistId flist)
    {
        var path = CacheFiles.ManifestPath(cache, flist);
        // Looked for before the cache is opened, which would make one.
        if (!File.Exists(path) || File.ReadAllBytes(path) is var manifest && Manifest.IdOf(manifest) != flist)
            return null;
        try
        {
            var (files, root) = (new CacheFiles(cache), Manifest.Decode(manifest).Root);
            return Read(files, flist, root) is { } devices ? new WholeFlist(flist, root, files, devices) : null;
        }
        catch (FormatException)
        {
            // Bytes that have the id and are no manifest: who opens the flist says so.
            return null;
        }
    }

    /// <summary>The tree of a name; null when it is no image's.</summary>
    public static Digest? RootOf(ReadOnlySpan<char> image) =>
        image.StartsWith(Scheme) && image.IndexOf('@') is var at and > 0 && image[(at + 1)..] is { Length: 2 * Digest.Size } root
            && !root.ContainsAnyExcept(_hexadecimal) ? Digest.ParseHex(root) : null;

    /// <summary>The flist of a name; null when it is no image's.</summary>
    internal static FlistId? FlistOf(string image) =>
        image.StartsWith(Scheme, StringComparison.Ordinal) && image.IndexOf('@', StringComparison.Ordinal) is var at and > 0 && Id.TryParse<FlistId>(image[Scheme.Length..at], out var id) ? id : null;

    internal static string NameOf(FlistId id, Digest root) => $"{Scheme}{id}@{root}";

    internal static ImmutableArray<Digest>? Read(CacheFiles files, FlistId id, Digest root)
    {
        using var image = CacheFiles.TryOpen(Path.Combine(files.Images, NameOf(id, root)));
        return image is not null && files.IsProven(id.Value, Seal.Of(image)) ? ImageSeals.TryRead(image, files.Objects) : null;
    }
}
