using Grid.Units;

namespace Grid.Flists.Packs;

/// <summary>Sizes of the location layer (FORMAT.md, Limits).</summary>
public static class PackLimits
{
    /// <summary>Chunks up to this length share a frame with their neighbours.</summary>
    public const int SmallChunk = 64 << 10;

    /// <summary>How much a writer puts into one frame.</summary>
    public const int FrameFill = 256 << 10;

    /// <summary>How much a reader accepts in one frame.</summary>
    public const int FrameLength = 1 << 20;

    public const int PackLength = 64 << 20;
    public const int IndexLength = 512 << 20;

    /// <summary>SHA-256 of 256 KiB of zeros. Everyone knows its bytes, so it is in no pack and no index.</summary>
    public static readonly Digest ZeroChunk = Chunk.Hash(new byte[Chunk.Size]);
}
