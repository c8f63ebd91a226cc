using System.Buffers;
using System.IO.Compression;
using System.Security.Cryptography;
using Grid.Units;
using Microsoft.Win32.SafeHandles;
using ZstdSharp;

namespace Grid.Flists.Build;

/// <summary>A run of bytes of an open file.</summary>
internal readonly record struct FileSlice(SafeFileHandle Handle, long Offset, long Length)
{
    public static FileSlice Whole(SafeFileHandle handle) => new(handle, 0, RandomAccess.GetLength(handle));

    /// <summary>Reads from a place in the slice; fewer bytes than wanted only at its end.</summary>
    public int Read(Span<byte> buffer, long at)
    {
        buffer = buffer[..(int)long.Clamp(Length - at, 0, buffer.Length)];
        var read = 0;
        while (read < buffer.Length)
        {
            var got = RandomAccess.Read(Handle, buffer[read..], Offset + at + read);
            if (got == 0)
                throw new FlistBuildException(FlistBuildCode.SourceChanged, "An archive became shorter while it was read.");
            read += got;
        }
        return read;
    }
}

/// <summary>Unpacks what is compressed into files that have no name, so that nothing is left over however the process ends.</summary>
internal sealed class Spool(BuildOptions options) : IDisposable
{
    private const int BufferSize = 1 << 18;

    private readonly List<SafeFileHandle> _files = [];
    private readonly Lock _lock = new();
    private long _written;
    private long _read;
    private long _expected;

    /// <summary>So many bytes of archives are going to be unpacked with their hashes.</summary>
    public void Expect(long bytes) => Interlocked.Add(ref _expected, bytes);

    /// <summary>The bytes of an archive, decompressed when they start like gzip or zstd, otherwise where they are.</summary>
    /// <param name="compressed">the hash of the slice as it is</param>
    /// <param name="plain">the hash of what it unpacks to</param>
    public FileSlice Unpack(FileSlice slice, out Digest compressed, out Digest plain, CancellationToken cancellation)
    {
        Span<byte> magic = stackalloc byte[6];
        magic = magic[..slice.Read(magic, 0)];
        using var outer = new HashingStream(new SliceStream(slice, this));
        if (!IsCompressed(magic))
        {
            Drain(outer, cancellation);
            compressed = plain = outer.Digest();
            return slice;
        }
        using var unpacked = Decompressor(magic, outer);
        var file = Write(unpacked, out plain, cancellation);
        Drain(outer, cancellation);
        compressed = outer.Digest();
        return file;
    }

    /// <summary>The bytes of an archive without their hashes.</summary>
    public FileSlice Unpack(FileSlice slice, CancellationToken cancellation)
    {
        Span<byte> magic = stackalloc byte[6];
        magic = magic[..slice.Read(magic, 0)];
        if (!IsCompressed(magic))
            return slice;
        Expect(slice.Length);
        using var unpacked = Decompressor(magic, new SliceStream(slice, this));
        return Write(unpacked, out _, cancellation);
    }

    /// <summary>Takes a stream to its end; what is compressed stays so.</summary>
    public FileSlice Keep(Stream stream, CancellationToken cancellation) => Write(stream, out _, cancellation);

    public void Dispose() => _files.ForEach(f => f.Dispose());

    private void Report() => options.Unpacking?.Report(new UnpackProgress(Interlocked.Read(ref _read), Interlocked.Read(ref _expected)));

    private static bool IsCompressed(ReadOnlySpan<byte> magic)
    {
        if (magic.StartsWith("BZh"u8) || magic.StartsWith((ReadOnlySpan<byte>)[0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z']))
            throw new FlistBuildException(FlistBuildCode.UnsupportedMediaType, "The archive is compressed with bzip2 or xz; plain, gzip and zstd are read.");
        return magic.StartsWith((ReadOnlySpan<byte>)[0x1f, 0x8b]) || IsZstd(magic);
    }

    // RFC 8878 §3.1: a frame, or a skippable frame before it.
    private static bool IsZstd(ReadOnlySpan<byte> magic) =>
        magic.StartsWith((ReadOnlySpan<byte>)[0x28, 0xb5, 0x2f, 0xfd]) || (magic.Length >= 4 && (magic[0] & 0xf0) == 0x50 && magic[1..4].SequenceEqual((ReadOnlySpan<byte>)[0x2a, 0x4d, 0x18]));

    private static Stream Decompressor(ReadOnlySpan<byte> magic, Stream from) =>
        IsZstd(magic) ? new DecompressionStream(from, leaveOpen: true) : new GZipStream(from, CompressionMode.Decompress, leaveOpen: true);

    private FileSlice Write(Stream from, out Digest digest, CancellationToken cancellation)
    {
        var file = Create();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            long length = 0;
            for (int got; (got = Read(from, buffer)) > 0; length += got)
            {
                cancellation.ThrowIfCancellationRequested();
                if (Interlocked.Add(ref _written, got) > options.OutputLimit)
                    throw new FlistBuildException(FlistBuildCode.OutputLimit, $"The source unpacks to more than {options.OutputLimit} bytes; raise the limit if it is meant to.");
                hash.AppendData(buffer, 0, got);
                RandomAccess.Write(file, buffer.AsSpan(0, got), length);
                Report();
            }
            Report();
            digest = new Digest(hash.GetHashAndReset());
            return new FileSlice(file, 0, length);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Drain(Stream from, CancellationToken cancellation)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        for (; from.Read(buffer) > 0; Report())
            cancellation.ThrowIfCancellationRequested();
        ArrayPool<byte>.Shared.Return(buffer);
    }

    private static int Read(Stream from, byte[] buffer)
    {
        try
        {
            return from.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        }
        catch (Exception e) when (e is InvalidDataException or ZstdException or EndOfStreamException)
        {
            throw new FlistBuildException(FlistBuildCode.BadCompression, $"The compressed bytes are damaged or end early: {e.Message}", e);
        }
    }

    private SafeFileHandle Create()
    {
        var path = Path.Combine(options.SpoolDirectory, $"grid-spool-{Path.GetRandomFileName()}");
        var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete);
        lock (_lock)
            _files.Add(file);
        File.Delete(path);
        return file;
    }

    private sealed class SliceStream(FileSlice slice, Spool spool) : ReadOnlyStream
    {
        private long _at;

        public override int Read(Span<byte> buffer)
        {
            var got = slice.Read(buffer, _at);
            _at += got;
            Interlocked.Add(ref spool._read, got);
            return got;
        }
    }

    private sealed class HashingStream(Stream inner) : ReadOnlyStream
    {
        private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

        public override int Read(Span<byte> buffer)
        {
            var got = inner.Read(buffer);
            _hash.AppendData(buffer[..got]);
            return got;
        }

        public Digest Digest() => new(_hash.GetHashAndReset());

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                _hash.Dispose();
            base.Dispose(disposing);
        }
    }
}

internal abstract class ReadOnlyStream : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public abstract override int Read(Span<byte> buffer);

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
