using System.Buffers.Binary;
using System.Collections.Immutable;
using Grid.Flists.Interop;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Cache;

/// <summary>
/// What the devices of an image are and how each looked when it was hashed, after the image in the same file: <c>{ content id ‖ seal }* ‖ u32 count</c>,
/// little-endian, the first device first.
/// </summary>
internal static class ImageSeals
{
    private const int RecordSize = Digest.Size + Seal.ByteSize, Trailer = 4;

    /// <param name="at">the end of the image</param>
    public static void Write(SafeFileHandle image, long at, IReadOnlyList<(Digest Content, Seal Seal)> devices)
    {
        var bytes = new byte[devices.Count * RecordSize + Trailer];
        for (var n = 0; n < devices.Count; n++)
        {
            devices[n].Content.CopyTo(bytes.AsSpan(n * RecordSize));
            devices[n].Seal.Encode().CopyTo(bytes.AsSpan(n * RecordSize + Digest.Size));
        }
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(devices.Count * RecordSize), devices.Count);
        RandomAccess.Write(image, bytes, at);
    }

    /// <summary>The contents that the devices are, while every one is the file that was hashed; null when one is not.</summary>
    /// <param name="image">proven, so that what it says is what was written</param>
    /// <param name="objects">the directory below which the contents lie</param>
    public static ImmutableArray<Digest>? TryRead(SafeFileHandle image, string objects)
    {
        var end = RandomAccess.GetLength(image) - Trailer;
        Span<byte> trailer = stackalloc byte[Trailer];
        if (end < 0 || RandomAccess.Read(image, trailer, end) != Trailer)
            return null;
        var records = new byte[checked(BinaryPrimitives.ReadInt32LittleEndian(trailer) * RecordSize)];
        if (RandomAccess.Read(image, records, end - records.Length) != records.Length)
            return null;
        using var directory = Fcntl.Open(objects, Fcntl.PathOnly | Fcntl.CloseOnExec);
        var contents = ImmutableArray.CreateBuilder<Digest>();
        foreach (var record in records.Chunk(RecordSize))
        {
            var content = new Digest(record.AsSpan(0, Digest.Size));
            if (directory.IsInvalid || SysStat.Stat(directory, CacheFiles.ObjectName(content), 0, SysStat.BasicStats, out var stat) != 0
                || Seal.Of(stat) != Seal.Decode(record.AsSpan(Digest.Size)))
                return null;
            contents.Add(content);
        }
        return contents.ToImmutable();
    }
}
