using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Grid.Flists.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Cache;

/// <summary>
/// Which bytes a file had when they were hashed: any write, rename or replacement since then changes the inode, the size or one of the times,
/// and nobody can set a change time.
/// </summary>
internal readonly record struct Seal(ulong Inode, ulong Size, long Modified, uint ModifiedNanoseconds, long Changed, uint ChangedNanoseconds)
{
    public const int ByteSize = 40;

    public static Seal Of(SafeFileHandle file)
    {
        if (SysStat.Stat(file, "", SysStat.EmptyPath, SysStat.BasicStats, out var stat) != 0)
            throw new IOException($"A file of the cache cannot be examined: {Marshal.GetLastPInvokeErrorMessage()}.");
        return Of(stat);
    }

    public static Seal Of(in SysStat.Statx stat) =>
        new(stat.Inode, stat.Size, stat.Modified.Seconds, stat.Modified.Nanoseconds, stat.Changed.Seconds, stat.Changed.Nanoseconds);

    public static Seal Decode(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
        BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]), BinaryPrimitives.ReadUInt32LittleEndian(bytes[24..]),
        BinaryPrimitives.ReadInt64LittleEndian(bytes[28..]), BinaryPrimitives.ReadUInt32LittleEndian(bytes[36..]));

    public byte[] Encode()
    {
        var bytes = new byte[ByteSize];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Inode);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), Size);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), Modified);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(24), ModifiedNanoseconds);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(28), Changed);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(36), ChangedNanoseconds);
        return bytes;
    }
}
