using System.Globalization;
using Grid.Node.Containers;
using Grid.Node.Volumes.Interop;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Volumes;

/// <summary>
/// The files that are one volume, side by side on a data disk.
/// <code>
/// agr1….data.image          the ext4, or a disk behind its LUKS header; exactly as long as was agreed, every block of it allocated
/// agr1….data.key            what opens it, sealed to the node
/// agr1….data.image.making   the same before they were whole; nobody's data is in them
/// agr1….data.key.making
/// </code>
/// They come into place in the order key, image; so a key without an image and without one that is being made is a lost image.
/// They go in the order: key overwritten, image removed, key removed. What else must be known is an extended attribute of the image:
/// <code>
/// user.grid.size       bytes; written when the file system has grown that far, while the file may be longer already
/// user.grid.form       "disk" for a machine's
/// user.grid.keep       seconds; how long it is kept once nobody wants it, as its agreement last said
/// user.grid.detached   Unix seconds; since when it is kept for nobody
/// </code>
/// </summary>
internal sealed record VolumeFiles(OpenDisk Disk, ContainerId Id)
{
    private const string ImageSuffix = ".image", KeySuffix = ".key", MakingSuffix = ".making";
    private const string SizeName = "user.grid.size", DetachedName = "user.grid.detached", KeepName = "user.grid.keep", FormName = "user.grid.form";

    public string Image => Path.Combine(Disk.Directory, Id + ImageSuffix);

    public string Key => Path.Combine(Disk.Directory, Id + KeySuffix);

    public string MakingImage => Image + MakingSuffix;

    public string MakingKey => Key + MakingSuffix;

    /// <summary>What the file system in it offers, its own overhead included; 0 when nobody wrote it down.</summary>
    public Bytes Size
    {
        get => new(Number(SizeName) ?? 0);
        set => SetSize(Image, value);
    }

    public VolumeForm Form => SysXattr.Get(Image, FormName) == "disk" ? VolumeForm.Disk : VolumeForm.Files;

    public void MakingIsDisk() => SysXattr.Set(MakingImage, FormName, "disk");

    public Bytes SizeOfMaking
    {
        set => SetSize(MakingImage, value);
    }

    /// <summary>For ever when nobody wrote it down.</summary>
    public TimeSpan Keep
    {
        get => Number(KeepName) is { } seconds ? TimeSpan.FromSeconds(seconds) : TimeSpan.MaxValue;
        set => SysXattr.Set(Image, KeepName, ((long)value.TotalSeconds).ToString(CultureInfo.InvariantCulture));
    }

    public DateTimeOffset? Detached
    {
        get => Number(DetachedName) is { } seconds ? DateTimeOffset.FromUnixTimeSeconds(seconds) : null;
        set
        {
            if (value is { } time)
                SysXattr.Set(Image, DetachedName, time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture));
            else
                SysXattr.Remove(Image, DetachedName);
        }
    }

    /// <returns>null when it is no file of a volume</returns>
    public static ContainerId? IdOf(string fileName)
    {
        var name = fileName.AsSpan();
        name = name.EndsWith(MakingSuffix, StringComparison.Ordinal) ? name[..^MakingSuffix.Length] : name;
        foreach (var suffix in (ReadOnlySpan<string>)[ImageSuffix, KeySuffix])
        {
            if (name.EndsWith(suffix, StringComparison.Ordinal) && ContainerId.TryParse(name[..^suffix.Length], out var id))
                return id;
        }
        return null;
    }

    /// <summary>Names and attributes are on the disk.</summary>
    public void SyncImage()
    {
        using var image = FcntlH.Open(Image, FcntlH.O_RDONLY);
        FcntlH.Sync(image);
    }

    public void SyncNames() => FcntlH.SyncDirectory(Disk.Directory);

    private static void SetSize(string image, Bytes size) => SysXattr.Set(image, SizeName, size.Value.ToString(CultureInfo.InvariantCulture));

    // Attributes of ours that do not read as a number were written by somebody else, and say nothing.
    private long? Number(string name) => long.TryParse(SysXattr.Get(Image, name), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}
