namespace Grid.Flists;

/// <summary>What a tree may have. A meta file beyond any of these is refused, and so is a source that would make one.</summary>
public static class FlistLimits
{
    public const int Name = 255;
    public const int Path = 4095;
    public const int Target = 4095;
    public const int Depth = 255;
    public const int DirectoryEntries = 1 << 22;
    public const long FileSize = 1L << 44;
    public const int XattrsPerInode = 1 << 16;
    public const int XattrName = 255;
    public const int ManifestLength = 1 << 20;
    public const int MetaLength = int.MaxValue;
    public const int LinksFollowed = 40;

    // The first second of year 1 and the last of year 9999: every platform's calendar holds them.
    public const long EarliestTime = -62_135_596_800;
    public const long LatestTime = 253_402_300_799;
}
