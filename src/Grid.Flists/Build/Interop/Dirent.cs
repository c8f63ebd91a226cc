using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Build.Interop;

/// <summary>dirent.h: the names in a directory as raw bytes.</summary>
internal static partial class Dirent
{
    // struct dirent64: u64 inode, s64 offset, u16 length, u8 type, name up to a zero.
    private const int LengthAt = 16;
    private const int NameAt = 19;

    /// <summary>All names but <c>.</c> and <c>..</c>, each followed by a zero byte; null with errno set when reading fails.</summary>
    public static List<byte[]>? Names(SafeFileHandle directory)
    {
        var names = new List<byte[]>();
        Span<byte> buffer = new byte[32 * 1024];
        while (true)
        {
            var length = (int)getdents64(directory, buffer, (nuint)buffer.Length);
            if (length < 0)
                return null;
            if (length == 0)
                return names;
            for (var rest = buffer[..length]; rest.Length > 0; rest = rest[BinaryPrimitives.ReadUInt16LittleEndian(rest[LengthAt..])..])
            {
                var name = rest[NameAt..];
                name = name[..(name.IndexOf((byte)0) + 1)];
                if (!name.SequenceEqual(".\0"u8) && !name.SequenceEqual("..\0"u8))
                    names.Add(name.ToArray());
            }
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint getdents64(SafeFileHandle directory, Span<byte> buffer, nuint length);
}
