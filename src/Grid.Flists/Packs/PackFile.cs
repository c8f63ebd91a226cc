using System.Buffers;
using System.Security.Cryptography;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Packs;

/// <summary>A pack in a file. Reading its table checks shapes; <see cref="Verify"/> checks every byte.</summary>
public sealed class PackFile : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly byte[] _table;

    /// <summary>Takes over the handle.</summary>
    /// <exception cref="PackFormatException"/>
    public PackFile(SafeFileHandle file)
    {
        _file = file;
        Length = (int)long.Min(RandomAccess.GetLength(file), int.MaxValue);
        if (Length is < PackTable.TrailerLength or > PackLimits.PackLength)
            throw new PackFormatException($"A pack has {PackTable.TrailerLength} to {PackLimits.PackLength} bytes, not {Length}.");
        Span<byte> trailer = stackalloc byte[PackTable.TrailerLength];
        ReadExactly(trailer, Length - trailer.Length);
        _table = new byte[PackTable.ReadTrailer(trailer, Length) + trailer.Length];
        ReadExactly(_table, Length - _table.Length);
        Table = PackTable.Read(_table, Length);
    }

    public int Length { get; }

    public PackTable Table { get; }

    /// <summary>The stored bytes of a frame, as they lie.</summary>
    public void ReadStored(PackFrame frame, Span<byte> stored) => ReadExactly(stored[..frame.StoredLength], frame.Offset);

    /// <summary>Hashes the pack, decodes every frame and hashes every chunk.</summary>
    /// <exception cref="PackFormatException">any byte is not what the name and the table say</exception>
    public void Verify(Digest name, FrameCodec codec, CancellationToken cancellation)
    {
        var stored = ArrayPool<byte>.Shared.Rent(PackLimits.FrameLength);
        var content = ArrayPool<byte>.Shared.Rent(PackLimits.FrameLength);
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach (var frame in Table.Frames)
            {
                cancellation.ThrowIfCancellationRequested();
                ReadStored(frame, stored);
                hash.AppendData(stored, 0, frame.StoredLength);
                codec.Decode(stored.AsSpan(0, frame.StoredLength), content.AsSpan(0, frame.Length));
                foreach (var chunk in frame.Chunks)
                {
                    if (Chunk.Hash(content.AsSpan(chunk.Offset, chunk.Length)) != chunk.Hash)
                        throw new PackFormatException($"The chunk {chunk.Hash} does not have that hash.");
                }
            }
            hash.AppendData(_table);
            if (new Digest(hash.GetHashAndReset()) != name)
                throw new PackFormatException($"The pack {name} does not have that hash.");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(stored);
            ArrayPool<byte>.Shared.Return(content);
        }
    }

    public void Dispose() => _file.Dispose();

    private void ReadExactly(Span<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty)
        {
            var read = RandomAccess.Read(_file, buffer, offset);
            if (read == 0)
                throw new PackFormatException("The pack became shorter while it was read.");
            buffer = buffer[read..];
            offset += read;
        }
    }
}
