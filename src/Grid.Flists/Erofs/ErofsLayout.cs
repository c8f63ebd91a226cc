using Grid.Units;

namespace Grid.Flists.Erofs;

/// <summary>
/// Where everything of an image lies: the inodes in the order of the tree, each once, with their extended attributes and, where it fits beside them into a
/// block, the last part of their bytes; then, in the same order, the whole blocks. Of a file longer than a chunk at most the last is in the image: it is a device
/// of its own, and of a device the kernel reads whole blocks only.
/// </summary>
internal sealed class ErofsLayout
{
    // The kernel opens every one of them at every mount.
    private const int MostDevices = 4096;

    // Each of its chunks is named.
    private const long LargestDevice = 1L << 40;

    private readonly MetaFile _meta;
    private readonly Dictionary<int, int> _firstOfGroup = [];
    private readonly Dictionary<Digest, int> _devices = [];
    private readonly Shape[] _shapes;
    private readonly long[] _at;
    private readonly uint[] _blocks;

    /// <exception cref="ArgumentException">the tree does not fit (<see cref="Fits"/>)</exception>
    public ErofsLayout(MetaFile meta)
    {
        if (!Fits(meta))
            throw new ArgumentException("The tree has more large files than an image can name, or a larger one.", nameof(meta));
        _meta = meta;
        _shapes = new Shape[meta.Count];
        _at = new long[meta.Count];
        _blocks = new uint[meta.Count];
        for (var inode = 0; inode < meta.Count; inode++)
        {
            if (meta[inode].LinkGroup is var group and not 0)
                _firstOfGroup.TryAdd(group, inode);
        }
        Devices = [.. Inodes().Where(i => IsApart(meta[i])).DistinctBy(meta.Content)];
        foreach (var inode in Devices)
            _devices.Add(meta.Content(inode), _devices.Count + 1);

        var at = (long)Erofs.SuperBlockAt + SuperBlock.ByteSize + Devices.Length * ErofsDevice.ByteSize;
        foreach (var inode in Inodes())
        {
            var shape = _shapes[inode] = Measure(inode);
            // Neither an inode nor what is inline lies across two blocks.
            if (at % Erofs.BlockSize + ErofsInode.ByteSize + (shape.Tail > 0 ? shape.Xattrs + shape.Tail : 0) > Erofs.BlockSize)
                at = Up(at, Erofs.BlockSize);
            _at[inode] = at;
            at = Up(at + shape.Length, Erofs.SlotSize);
            Count++;
        }
        var block = Up(at, Erofs.BlockSize) / Erofs.BlockSize;
        foreach (var inode in Inodes())
        {
            var blocks = Up(ShapeOf(inode).Whole, Erofs.BlockSize) / Erofs.BlockSize;
            _blocks[inode] = blocks > 0 ? checked((uint)block) : 0;
            block += blocks;
        }
        Blocks = checked((uint)block);
    }

    /// <summary>False for more than 4096 files that are longer than a chunk, and for one of more than 1 TiB.</summary>
    public static bool Fits(MetaFile meta)
    {
        var apart = new HashSet<Digest>();
        for (var inode = 0; inode < meta.Count; inode++)
        {
            if (IsApart(meta[inode]) && apart.Add(meta.Content(inode)) && (apart.Count > MostDevices || meta[inode].Size > LargestDevice))
                return false;
        }
        return true;
    }

    /// <summary>Of all inodes.</summary>
    public int Count { get; }

    /// <summary>Of the image, without its devices.</summary>
    public uint Blocks { get; }

    /// <summary>The inodes whose contents are the devices, from the first on.</summary>
    public int[] Devices { get; }

    /// <summary>The inodes that there are once, in order.</summary>
    public IEnumerable<int> Inodes()
    {
        for (var inode = 0; inode < _meta.Count; inode++)
        {
            if (Canonical(inode) == inode)
                yield return inode;
        }
    }

    /// <summary>Where an inode lies, in bytes.</summary>
    public long At(int inode) => _at[inode];

    /// <summary>By what the image names an inode of the tree.</summary>
    public ulong Number(int inode) => (ulong)_at[Canonical(inode)] / Erofs.SlotSize;

    /// <summary>The first of its whole blocks; 0 when it has none.</summary>
    public uint Block(int inode) => _blocks[inode];

    /// <summary>Of an inode, by the first of its names.</summary>
    public Shape ShapeOf(int inode) => _shapes[inode];

    private Shape Measure(int inode)
    {
        var meta = _meta[inode];
        var xattrs = ErofsXattrs.Length(_meta, inode);
        if (IsApart(meta))
            return new Shape(xattrs, meta.Size, meta.Size % Erofs.BlockSize == 0 ? 0 : (meta.Size - 1) % Chunk.Size + 1, 0, _devices[_meta.Content(inode)]);
        var size = meta.Type switch
        {
            EntryType.Directory => new ErofsDirectory(_meta, inode).Length(),
            EntryType.Symlink or EntryType.File => meta.Size,
            _ => 0,
        };
        var tail = (int)(size % Erofs.BlockSize);
        if (ErofsInode.ByteSize + xattrs + tail > Erofs.BlockSize)
            tail = 0;
        return new Shape(xattrs, size, size - tail, tail, 0);
    }

    private static bool IsApart(in MetaInode meta) => meta is { Type: EntryType.File, Size: > Chunk.Size };

    private int Canonical(int inode) => _meta[inode].LinkGroup is var group and not 0 ? _firstOfGroup[group] : inode;

    private static long Up(long value, int unit) => (value + unit - 1) / unit * unit;

    /// <param name="Xattrs">bytes of extended attributes</param>
    /// <param name="Size">bytes of the file, of the directory's blocks or of a link's target</param>
    /// <param name="Whole">of these, what lies in blocks of its own: the first, but of a device the last</param>
    /// <param name="Tail">and what follows the inode</param>
    /// <param name="Device">where the rest is; 0 when there is none</param>
    public readonly record struct Shape(int Xattrs, long Size, long Whole, int Tail, int Device)
    {
        public int Chunks => Device == 0 ? 0 : (int)Chunk.CountOf(Size);

        /// <summary>Where the indexes of its chunks are, or what is inline, counted from the inode.</summary>
        public int Body => Device == 0 ? ErofsInode.ByteSize + Xattrs : (ErofsInode.ByteSize + Xattrs + ErofsChunk.ByteSize - 1) / ErofsChunk.ByteSize * ErofsChunk.ByteSize;

        /// <summary>Bytes of the inode with what follows it.</summary>
        public int Length => Body + Tail + Chunks * ErofsChunk.ByteSize;
    }
}
