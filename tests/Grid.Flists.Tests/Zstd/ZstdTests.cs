using Grid.Flists.Zstd;

namespace Grid.Flists.Tests.Zstd;

public sealed class ZstdTests
{
    public static TheoryData<ZstdCodec, ZstdCodec> Pairs()
    {
        var pairs = new TheoryData<ZstdCodec, ZstdCodec> { { new ManagedZstd(), new ManagedZstd() } };
        if (NativeZstd.IsAvailable)
        {
            pairs.Add(new NativeZstd(), new NativeZstd());
            pairs.Add(new NativeZstd(), new ManagedZstd());
            pairs.Add(new ManagedZstd(), new NativeZstd());
        }
        return pairs;
    }

    [Theory]
    [MemberData(nameof(Pairs), DisableDiscoveryEnumeration = true)]
    public void What_one_compresses_the_other_reads(ZstdCodec writer, ZstdCodec reader)
    {
        using var compressor = writer.CreateCompressor();
        using var decompressor = reader.CreateDecompressor();
        foreach (var content in Contents())
        {
            var stored = new byte[content.Length + 1024];
            Assert.True(compressor.TryCompress(content, stored, out var length));
            var back = new byte[content.Length];
            decompressor.Decompress(stored.AsSpan(0, length), back);
            Assert.True(content.AsSpan().SequenceEqual(back));
        }
    }

    [Theory]
    [MemberData(nameof(Pairs), DisableDiscoveryEnumeration = true)]
    public async Task Streams_of_any_length_come_back(ZstdCodec writer, ZstdCodec reader)
    {
        foreach (var content in Contents())
        {
            var stored = Compress(content, writer);
            using var sync = new ZstdReadStream(new MemoryStream(stored), content.Length, reader);
            var back = new MemoryStream();
            sync.CopyTo(back);
            Assert.True(content.AsSpan().SequenceEqual(back.ToArray()));
            using var drop = new ZstdReadStream(new Dribble(stored), content.Length, reader);
            back = new MemoryStream();
            await drop.CopyToAsync(back, 777);
            Assert.True(content.AsSpan().SequenceEqual(back.ToArray()));
        }
    }

    [Theory]
    [MemberData(nameof(Pairs), DisableDiscoveryEnumeration = true)]
    public void Damaged_frames_never_read_as_something_of_another_length(ZstdCodec writer, ZstdCodec reader)
    {
        using var compressor = writer.CreateCompressor();
        using var decompressor = reader.CreateDecompressor();
        var content = Contents().Last();
        var stored = new byte[content.Length + 1024];
        compressor.TryCompress(content, stored, out var length);
        var random = new Random(9);
        var back = new byte[content.Length];
        for (var i = 0; i < 300; i++)
        {
            var bad = stored.AsSpan(0, length).ToArray();
            bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                decompressor.Decompress(bad, back);
            }
            catch (ZstdFormatException)
            {
            }
        }
        decompressor.Decompress(stored.AsSpan(0, length), back);
        Assert.True(content.AsSpan().SequenceEqual(back));
        Assert.Throws<ZstdFormatException>(() => decompressor.Decompress(stored.AsSpan(0, length - 1), back));
        Assert.Throws<ZstdFormatException>(() => decompressor.Decompress(stored.AsSpan(0, length + 1), back));
        Assert.Throws<ZstdFormatException>(() => decompressor.Decompress(stored.AsSpan(0, length), back.AsSpan(1)));
        Assert.Throws<ZstdFormatException>(() => decompressor.Decompress([], back));
    }

    [Theory]
    [MemberData(nameof(Pairs), DisableDiscoveryEnumeration = true)]
    public void Bombs_cut_streams_and_wide_windows_are_refused(ZstdCodec writer, ZstdCodec reader)
    {
        var bomb = Compress(new byte[50 << 20], writer);
        Assert.True(bomb.Length < 10_000);
        Assert.Throws<ZstdFormatException>(() => new ZstdReadStream(new MemoryStream(bomb), 1 << 20, reader).CopyTo(Stream.Null));
        Assert.Throws<ZstdFormatException>(() => new ZstdReadStream(new MemoryStream(bomb[..^3]), 50 << 20, reader).CopyTo(Stream.Null));
        Assert.Throws<ZstdFormatException>(() => new ZstdReadStream(new MemoryStream(bomb), 50 << 20, reader, maximumWindowLog: 12).CopyTo(Stream.Null));
        Assert.Throws<ZstdFormatException>(() => new ZstdReadStream(new MemoryStream("plain text"u8.ToArray()), 100, reader).CopyTo(Stream.Null));
    }

    [Theory]
    [MemberData(nameof(Pairs), DisableDiscoveryEnumeration = true)]
    public void A_frame_that_does_not_fit_is_said_so_and_the_compressor_goes_on(ZstdCodec writer, ZstdCodec reader)
    {
        using var compressor = writer.CreateCompressor();
        using var decompressor = reader.CreateDecompressor();
        var noise = new byte[10_000];
        new Random(4).NextBytes(noise);
        Assert.False(compressor.TryCompress(noise, new byte[9_700], out _));
        var stored = new byte[20_000];
        Assert.True(compressor.TryCompress(noise, stored, out var length));
        var back = new byte[noise.Length];
        decompressor.Decompress(stored.AsSpan(0, length), back);
        Assert.Equal(noise, back);
    }

    private static byte[] Compress(byte[] content, ZstdCodec codec)
    {
        var stored = new MemoryStream();
        using (var stream = new ZstdWriteStream(stored, codec))
            stream.Write(content);
        return stored.ToArray();
    }

    private static IEnumerable<byte[]> Contents()
    {
        var random = new Random(2);
        foreach (var size in (int[])[1, 2, 255, 256, 257, 65_535, 65_792, 262_144, 1_000_000])
        {
            var bytes = new byte[size];
            random.NextBytes(bytes);
            for (var i = 0; i < size / 2; i++)
                bytes[i] &= 7;
            yield return bytes;
        }
    }

    // Gives a few bytes at a time.
    private sealed class Dribble(byte[] bytes) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..int.Min(buffer.Length, 1009)], cancellationToken);
    }
}
