namespace Grid.Flists.Build;

/// <summary>What becomes of device nodes.</summary>
public enum Devices
{
    Refuse,
    Drop,
    Keep,
}

public sealed record BuildOptions
{
    public static readonly BuildOptions Default = new();

    /// <summary>Times later than this become this: seconds since 1970, as SOURCE_DATE_EPOCH.</summary>
    public long? LatestMtime { get; init; }

    /// <summary><c>os/architecture[/variant]</c>: chosen among the manifests of an image, and written into the manifest.</summary>
    public string? Platform { get; init; }

    /// <summary>Which of several images of a layout or archive; null when there is one.</summary>
    public string? Reference { get; init; }

    /// <summary>Start values that go before those of the source.</summary>
    public StartDefaults? Start { get; init; }

    /// <summary>Words about the origin that go into the manifest.</summary>
    public IReadOnlyDictionary<string, string> Source { get; init; } = new Dictionary<string, string>();

    public Devices Devices { get; init; } = Devices.Refuse;

    /// <summary>Bytes that everything compressed may become together; more is taken for a decompression bomb.</summary>
    public long OutputLimit { get; init; } = 256L << 30;

    public int MaximumEntries { get; init; } = 1 << 24;

    /// <summary>Where compressed archives are unpacked; an archive takes its uncompressed size there until the build ends.</summary>
    public string SpoolDirectory { get; init; } = Path.GetTempPath();

    /// <summary>How many threads read and hash.</summary>
    public int Workers { get; init; } = int.Max(2, Environment.ProcessorCount);

    public IProgress<BuildProgress>? Progress { get; init; }

    /// <summary>Of an archive that must be unpacked or hashed before anything in it can be built; a directory has none of it.</summary>
    public IProgress<UnpackProgress>? Unpacking { get; init; }
}

/// <param name="Bytes">read and hashed so far</param>
/// <param name="TotalBytes">of all files, a hard-linked file counted once</param>
public readonly record struct BuildProgress(long Files, long TotalFiles, long Bytes, long TotalBytes);

/// <param name="Bytes">of the archives as they are, read so far</param>
/// <param name="TotalBytes">of those known of; an archive within an archive is known when the outer one is unpacked</param>
public readonly record struct UnpackProgress(long Bytes, long TotalBytes);

/// <summary>Something the source had and the flist does not.</summary>
/// <param name="What">"socket", "device", "xattr security.selinux", …</param>
/// <param name="FirstPath">the first place, for people</param>
public sealed record Dropped(string What, long Count, string FirstPath);

/// <summary>An flist as built: its meta file, its manifest, and what was left out of it.</summary>
public sealed record BuiltFlist(MetaFile Meta, Manifest Manifest, IReadOnlyList<Dropped> Dropped);
