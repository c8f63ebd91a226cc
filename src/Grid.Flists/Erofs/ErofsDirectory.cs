using System.Runtime.InteropServices;

namespace Grid.Flists.Erofs;

/// <summary>
/// The entries of one directory as EROFS has them: "." and ".." among the names, all sorted by raw bytes, in blocks of which each has its records first.
/// </summary>
internal readonly struct ErofsDirectory
{
    private readonly MetaFile _meta;
    private readonly int _directory;
    private readonly int _dot, _dots, _end;

    public ErofsDirectory(MetaFile meta, int directory)
    {
        (_meta, _directory) = (meta, directory);
        _dot = Before("."u8);
        _dots = Before(".."u8) + 1;
        _end = meta[directory].ChildCount + 2;
    }

    /// <summary>Bytes of all blocks, the last as far as it is used.</summary>
    public long Length()
    {
        var (blocks, used) = (0L, 0);
        for (var at = 0; at < _end; at++)
        {
            var length = ErofsDirent.ByteSize + Name(at).Length;
            if (used + length > Erofs.BlockSize)
                (blocks, used) = (blocks + 1, 0);
            used += length;
        }
        return (blocks << Erofs.BlockBits) + used;
    }

    /// <param name="number">of an inode of the tree in the image</param>
    /// <param name="destination">as long as <see cref="Length"/>, all zeros</param>
    public void Write(Func<int, ulong> number, Span<byte> destination)
    {
        for (int from = 0, to; from < _end; from = to)
        {
            var used = 0;
            for (to = from; to < _end && used + ErofsDirent.ByteSize + Name(to).Length <= Erofs.BlockSize; to++)
                used += ErofsDirent.ByteSize + Name(to).Length;
            var block = destination[..Math.Min(Erofs.BlockSize, destination.Length)];
            var names = (to - from) * ErofsDirent.ByteSize;
            for (var at = from; at < to; at++)
            {
                var inode = Inode(at);
                var dirent = new ErofsDirent { Number = number(inode), NameOffset = (ushort)names, Type = (byte)Erofs.FileType(_meta[inode].Type) };
                MemoryMarshal.Write(block[((at - from) * ErofsDirent.ByteSize)..], dirent);
                Name(at).CopyTo(block[names..]);
                names += Name(at).Length;
            }
            destination = destination[block.Length..];
        }
    }

    private ReadOnlySpan<byte> Name(int at) => at == _dot ? "."u8 : at == _dots ? ".."u8 : _meta.Name(Inode(at));

    private int Inode(int at) => at == _dot ? _directory
        : at == _dots ? _meta[_directory].Parent
        : _meta[_directory].FirstChild + at - (at > _dot ? 1 : 0) - (at > _dots ? 1 : 0);

    // How many children sort before a name that none of them has.
    private int Before(ReadOnlySpan<byte> name)
    {
        var (low, high) = (0, _meta[_directory].ChildCount);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_meta.Name(_meta[_directory].FirstChild + middle).SequenceCompareTo(name) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
}
