using System.Text;

namespace Grid.Flists.Build;

internal enum TarEntryType
{
    File,
    HardLink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// <param name="Path">raw; not yet checked</param>
/// <param name="DataAt">where in the archive the content starts</param>
internal sealed record TarEntry(
    TarEntryType Type, byte[] Path, byte[] LinkTarget, long Mode, long Uid, long Gid, long Mtime, long Size, long DataAt, long Major, long Minor,
    IReadOnlyList<(byte[] Name, byte[] Value)> Xattrs, bool HasTextAcl);

/// <summary>
/// Strict reader of an uncompressed tar in a file: v7, ustar, PAX and GNU with long names; raw names. What it does not know it refuses, and the archive
/// must end as POSIX says: two zero blocks, then nothing but zeros.
/// </summary>
internal sealed class TarReader(FileSlice archive)
{
    private const int MaximumLongName = 64 * 1024;
    private const string XattrKey = "SCHILY.xattr.";

    private readonly byte[] _window = new byte[64 * 1024];
    private readonly PaxRecords _global = new();
    private long _windowAt = -1;
    private int _windowLength;
    private long _at;

    /// <summary>The next entry, or null at the end.</summary>
    /// <exception cref="FlistBuildException"/>
    public TarEntry? Next()
    {
        PaxRecords? own = null;
        byte[]? longName = null, longTarget = null;
        while (true)
        {
            var block = Block();
            if (!block.ContainsAnyExcept((byte)0))
            {
                if (own is not null || longName is not null || longTarget is not null)
                    throw new FlistBuildException(FlistBuildCode.Truncated, "The archive ends after the extended header of an entry.");
                End();
                return null;
            }
            var header = new TarHeader(block);
            if (!header.HasRightChecksum())
            {
                throw _at == TarHeader.Size
                    ? new FlistBuildException(FlistBuildCode.NotAnArchive, "This is no tar archive: its first block has no right checksum.")
                    : new FlistBuildException(FlistBuildCode.BadChecksum, $"The tar header at byte {_at - TarHeader.Size} is damaged: its checksum is wrong.");
            }
            switch ((char)header.Type)
            {
                case 'x':
                    if (own is not null)
                        throw new FlistBuildException(FlistBuildCode.BadHeader, "Two extended headers for one entry.");
                    own = new PaxRecords();
                    own.Add(Data(header.DataLength, PaxRecords.MaximumLength));
                    break;
                case 'g':
                    _global.Add(Data(header.DataLength, PaxRecords.MaximumLength));
                    break;
                case 'L':
                    longName = WithoutEnd(Data(header.DataLength, MaximumLongName));
                    break;
                case 'K':
                    longTarget = WithoutEnd(Data(header.DataLength, MaximumLongName));
                    break;
                case 'V':
                    // GNU: the label of the archive, not a file.
                    Skip(header.DataLength);
                    break;
                default:
                    return Entry(header, PaxRecords.Over(_global, own), longName, longTarget);
            }
        }
    }

    private TarEntry Entry(TarHeader header, PaxRecords pax, byte[]? longName, byte[]? longTarget)
    {
        var path = pax.Bytes("path") ?? longName ?? header.Path();
        if (header.Type == 'S' || pax.All.Any(r => r.Key.StartsWith("GNU.sparse.", StringComparison.Ordinal)))
            throw new FlistBuildException(FlistBuildCode.SparseUnsupported, $"'{FlistBuildException.Show(path)}' is stored with holes; make the archive without --sparse.");
        var size = pax.Number("size") ?? header.DataLength;
        var type = (char)header.Type switch
        {
            // v7 and GNU mark a directory by the slash alone.
            '\0' or '0' or '7' => path is [.., (byte)'/'] && size == 0 ? TarEntryType.Directory : TarEntryType.File,
            '1' => TarEntryType.HardLink,
            '2' => TarEntryType.Symlink,
            '3' => TarEntryType.CharacterDevice,
            '4' => TarEntryType.BlockDevice,
            '5' => TarEntryType.Directory,
            '6' => TarEntryType.Fifo,
            _ => throw new FlistBuildException(FlistBuildCode.UnknownEntryType, $"'{FlistBuildException.Show(path)}' is of the tar type 0x{header.Type:x2}, which is not known."),
        };
        if (size < 0 || size > FlistLimits.FileSize)
            throw new FlistBuildException(FlistBuildCode.OutOfRange, $"'{FlistBuildException.Show(path)}' has {size} bytes; 0 to {FlistLimits.FileSize} are allowed.");
        if (type != TarEntryType.File && size != 0)
            throw new FlistBuildException(FlistBuildCode.BadHeader, $"'{FlistBuildException.Show(path)}' is no file and has {size} bytes of content.");
        var isDevice = type is TarEntryType.CharacterDevice or TarEntryType.BlockDevice;
        var entry = new TarEntry(
            type, path, pax.Bytes("linkpath") ?? longTarget ?? header.LinkTarget(), header.Mode, pax.Number("uid") ?? header.Uid, pax.Number("gid") ?? header.Gid,
            pax.Time("mtime") ?? header.Mtime, size, _at, isDevice ? header.Major : 0, isDevice ? header.Minor : 0, Xattrs(pax),
            pax.All.Any(r => r.Key.StartsWith("SCHILY.acl.", StringComparison.Ordinal)));
        Skip(size);
        return entry;
    }

    // GNU tar writes '%' and '=' of a name as %25 and %3D (xheader.c, xattr_encode_keyword).
    private static List<(byte[] Name, byte[] Value)> Xattrs(PaxRecords pax) =>
    [
        .. pax.All.Where(r => r.Key.StartsWith(XattrKey, StringComparison.Ordinal) && r.Key.Length > XattrKey.Length)
            .Select(r => (Encoding.Latin1.GetBytes(r.Key[XattrKey.Length..].Replace("%3D", "=", StringComparison.Ordinal).Replace("%25", "%", StringComparison.Ordinal)), r.Value)),
    ];

    private static byte[] WithoutEnd(byte[] name) => name is [.., 0] ? name[..^1] : name;

    private void End()
    {
        if (Block().ContainsAnyExcept((byte)0))
            throw new FlistBuildException(FlistBuildCode.Truncated, "The archive has one zero block where two must end it.");
        for (var rest = Window(); !rest.IsEmpty; rest = Window())
        {
            if (rest.ContainsAnyExcept((byte)0))
                throw new FlistBuildException(FlistBuildCode.TrailingData, "Something follows the end of the archive.");
            _at += rest.Length;
        }
    }

    private byte[] Data(long length, int maximum)
    {
        if (length > maximum)
            throw new FlistBuildException(FlistBuildCode.TooLarge, $"An extended tar header has {length} bytes; {maximum} are allowed.");
        if (length > archive.Length - _at)
            throw Truncated();
        var data = new byte[length];
        if (archive.Read(data, _at) != data.Length)
            throw Truncated();
        Skip(length);
        return data;
    }

    private void Skip(long length)
    {
        if (length > archive.Length - _at)
            throw Truncated();
        _at += (length + TarHeader.Size - 1) & -TarHeader.Size;
        if (_at > archive.Length)
            throw Truncated();
    }

    private ReadOnlySpan<byte> Block()
    {
        if (_at + TarHeader.Size > archive.Length)
            throw _at == 0 ? new FlistBuildException(FlistBuildCode.NotAnArchive, "This is no tar archive: it has less than one block.") : Truncated();
        if (_at < _windowAt || _at + TarHeader.Size > _windowAt + _windowLength)
            Window();
        var block = _window.AsSpan((int)(_at - _windowAt), TarHeader.Size);
        _at += TarHeader.Size;
        return block;
    }

    private ReadOnlySpan<byte> Window()
    {
        _windowAt = _at;
        _windowLength = archive.Read(_window, _at);
        return _window.AsSpan(0, _windowLength);
    }

    private static FlistBuildException Truncated() => new(FlistBuildCode.Truncated, "The archive ends early.");
}
