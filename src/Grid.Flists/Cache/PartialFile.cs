using System.Buffers;
using Grid.Flists.Packs;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Cache;

/// <summary>
/// A file of which some chunks are here: sparse data, and a map with one byte for each chunk, so that processes that share it cannot undo each other's marks.
/// A mark is a hint; each process hashes a chunk before it first gives it out, whoever wrote it and whenever.
/// </summary>
internal sealed class PartialFile : IDisposable
{
    private readonly SafeFileHandle _data;
    private readonly SafeFileHandle _map;
    private readonly byte[] _proven;
    private int _provenCount;

    public PartialFile(CacheFiles files, Digest content, long size)
    {
        (Content, Size) = (content, size);
        var path = files.PartialPath(content);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        _data = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        _map = File.OpenHandle(path + ".map", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        _proven = new byte[Chunk.CountOf(size)];
        if (RandomAccess.GetLength(_data) != size)
            RandomAccess.SetLength(_data, size);
    }

    public Digest Content { get; }

    public long Size { get; }

    public SafeFileHandle Data => _data;

    /// <summary>True when this process has hashed every chunk.</summary>
    public bool IsComplete => Volatile.Read(ref _provenCount) == _proven.Length;

    public int LengthOf(long n) => (int)long.Min(Chunk.Size, Size - (n << Chunk.SizeLog2));

    /// <summary>True when the chunk is here and right; a mark that lies is taken back.</summary>
    public bool Has(long n, Digest hash)
    {
        if (Volatile.Read(ref _proven[n]) != 0)
            return true;
        Span<byte> mark = [0];
        if (hash != PackLimits.ZeroChunk && (RandomAccess.Read(_map, mark, n) != 1 || mark[0] != 1))
            return false;
        var length = LengthOf(n);
        var buffer = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            if (RandomAccess.Read(_data, buffer.AsSpan(0, length), n << Chunk.SizeLog2) == length && Chunk.Hash(buffer.AsSpan(0, length)) == hash)
            {
                SetProven(n);
                return true;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        // A chunk of zeros is never fetched: if something else lies there, it is made zero.
        if (hash == PackLimits.ZeroChunk)
        {
            Write(n, new byte[length]);
            return true;
        }
        RandomAccess.Write(_map, [0], n);
        return false;
    }

    /// <summary>Keeps a chunk that was verified: data first, mark second.</summary>
    public void Write(long n, ReadOnlySpan<byte> bytes)
    {
        RandomAccess.Write(_data, bytes, n << Chunk.SizeLog2);
        RandomAccess.Write(_map, [1], n);
        SetProven(n);
    }

    /// <summary>Reads from chunks that <see cref="Has"/> confirmed.</summary>
    public int Read(Span<byte> buffer, long offset) => RandomAccess.Read(_data, buffer, offset);

    public void Dispose()
    {
        _data.Dispose();
        _map.Dispose();
    }

    private void SetProven(long n)
    {
        if (Interlocked.Exchange(ref _proven[n], (byte)1) == 0)
            Interlocked.Increment(ref _provenCount);
    }
}
