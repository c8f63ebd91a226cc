using System.Buffers;
using Grid.Flists.Build;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Units;

namespace Grid.Flists.Tests.Packs;

public sealed class PackTests : IDisposable
{
    private readonly string _scratch = Directory.CreateTempSubdirectory("grid-packs-").FullName;

    public void Dispose() => Directory.Delete(_scratch, recursive: true);

    [Fact]
    public async Task Every_chunk_comes_back_and_the_same_chunks_make_the_same_packs()
    {
        var chunks = Chunks(seed: 1, count: 400);
        using var one = await FillAsync("one", chunks);
        using var two = await FillAsync("two", chunks);
        foreach (var chunk in chunks)
            Assert.Equal(chunk, one.TryReadChunk(Chunk.Hash(chunk)));
        Assert.Equal(PackNames("one"), PackNames("two"));
        Assert.Null(one.TryReadChunk(Digest.Of("absent"u8)));
        Assert.Equal(new byte[Chunk.Size], one.TryReadChunk(PackLimits.ZeroChunk));
        Assert.Empty(one.Missing([.. chunks.Select(c => Chunk.Hash(c)), PackLimits.ZeroChunk]));
    }

    [Fact]
    public async Task Packs_stay_below_their_limit_and_small_chunks_share_frames()
    {
        var random = new Random(3);
        var noise = Enumerable.Range(0, 280).Select(_ => Noise(random, Chunk.Size)).ToList();
        noise.AddRange(Enumerable.Range(0, 1000).Select(_ => Noise(random, 1000)));
        using var store = await FillAsync("big", noise);
        var packs = PackNames("big");
        Assert.Equal(2, packs.Length);
        var frames = 0;
        foreach (var path in packs)
        {
            using var pack = new PackFile(File.OpenHandle(Path.Combine(_scratch, "big", "packs", path[..2], path)));
            Assert.InRange(pack.Length, 1, PackLimits.PackLength);
            pack.Verify(Digest.ParseHex(path), store.Codec, default);
            frames += pack.Table.Frames.Length;
            // Noise does not shrink, so it lies raw.
            Assert.All(pack.Table.Frames, f => Assert.Equal(f.Length, f.StoredLength));
        }
        Assert.Equal(280 + 4, frames);
    }

    [Fact]
    public async Task Chunks_the_store_has_are_not_written_again()
    {
        var chunks = Chunks(seed: 5, count: 100);
        using var store = await FillAsync("same", chunks);
        var before = store.PackBytes;
        await using var writer = new PackWriter(store);
        foreach (var chunk in chunks)
            await writer.AddAsync(Take(chunk), default);
        await writer.CompleteAsync(default);
        Assert.Equal((0, 0), writer.Written);
        Assert.Equal(before, store.PackBytes);
    }

    [Fact]
    public async Task No_flipped_bit_of_a_pack_passes()
    {
        using var store = await FillAsync("flip", Chunks(seed: 6, count: 20));
        var name = PackNames("flip").Single();
        var good = File.ReadAllBytes(Path.Combine(_scratch, "flip", "packs", name[..2], name));
        var random = new Random(8);
        for (var i = 0; i < 600; i++)
        {
            var bad = (byte[])good.Clone();
            bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
            // Under its own new hash: every chunk is what must give it away.
            var error = await Assert.ThrowsAnyAsync<FormatException>(async () =>
            {
                using var target = DirectoryStore.Open(Path.Combine(_scratch, "target"));
                await target.PutPackAsync(Digest.Of(bad), new MemoryStream(bad), default);
            });
            Assert.IsType<PackFormatException>(error);
        }
    }

    [Fact]
    public async Task A_flipped_index_is_refused_or_stays_within_its_packs()
    {
        var chunks = Chunks(seed: 9, count: 60);
        using var store = await FillAsync("index", chunks);
        var hashes = chunks.Select(c => Chunk.Hash(c)).Distinct().ToArray();
        var places = hashes.Select(h => KeyValuePair.Create(h, store.TryFind(h, out var at) ? at : default)).ToArray();
        var lengths = places.Select(p => p.Value.Pack).Distinct().ToDictionary(p => p, store.PackLength);
        var good = PackIndex.Encode(lengths, places);
        var index = PackIndex.Load(good);
        foreach (var (hash, at) in places)
        {
            Assert.True(index.TryFind(hash, out var found));
            Assert.Equal(at, found);
        }
        Assert.False(index.TryFind(Digest.Of("absent"u8), out _));
        var random = new Random(10);
        for (var i = 0; i < 2000; i++)
        {
            var bad = (byte[])good.Clone();
            bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                var lying = PackIndex.Load(bad);
                var all = lying.Packs.ToDictionary(p => p.Pack, p => p.Length);
                foreach (var hash in hashes)
                {
                    if (lying.TryFind(hash, out var at))
                        Assert.True(at.FrameEnd <= all[at.Pack] && at.Offset + at.Length <= at.FrameLength && at.FrameLength <= PackLimits.FrameLength);
                }
            }
            catch (PackFormatException)
            {
            }
        }
        for (var length = 0; length < good.Length; length += 13)
            Assert.Throws<PackFormatException>(() => PackIndex.Load(good.AsMemory(0, length)));
        Assert.Throws<PackFormatException>(() => PackIndex.Load((byte[])[.. good, 0]));
    }

    [Fact]
    public async Task A_store_sets_damaged_packs_apart_and_removes_what_a_crash_left()
    {
        var chunks = Chunks(seed: 12, count: 30);
        (await FillAsync("crash", chunks)).Dispose();
        var name = PackNames("crash").Single();
        var path = Path.Combine(_scratch, "crash", "packs", name[..2], name);
        File.WriteAllBytes(Path.Combine(_scratch, "crash", "staging", "left"), [1, 2, 3]);
        var bytes = File.ReadAllBytes(path);
        File.Delete(path);
        File.WriteAllBytes(path, bytes[..^1]);
        using var store = DirectoryStore.Open(Path.Combine(_scratch, "crash"));
        Assert.Empty(Directory.GetFiles(Path.Combine(_scratch, "crash", "staging")));
        Assert.True(File.Exists(Path.Combine(_scratch, "crash", "damaged", name)));
        Assert.NotEmpty(store.Missing([Chunk.Hash(chunks[0])]));
        Assert.True(await store.PutPackAsync(Digest.ParseHex(name), new MemoryStream(bytes), default));
        Assert.False(await store.PutPackAsync(Digest.ParseHex(name), Stream.Null, default));
        Assert.Equal(chunks[0], store.TryReadChunk(Chunk.Hash(chunks[0])));
    }

    [Fact]
    public async Task A_pack_that_rotted_while_the_store_was_closed_keeps_an_flist_from_being_published()
    {
        var tree = Path.Combine(_scratch, "tree");
        Directory.CreateDirectory(tree);
        File.WriteAllBytes(Path.Combine(tree, "file"), Noise(new Random(1), 500_000));
        BuiltFlist built;
        using (var store = DirectoryStore.Open(Path.Combine(_scratch, "rot")))
        {
            await using var writer = new PackWriter(store);
            built = await FlistBuilder.BuildAsync(new DirectorySource(tree), BuildOptions.Default, writer, default);
            await writer.CompleteAsync(default);
            store.PutMeta(built.Meta);
        }
        var name = PackNames("rot").Single();
        using (var file = File.OpenHandle(Path.Combine(_scratch, "rot", "packs", name[..2], name), FileMode.Open, FileAccess.ReadWrite))
            RandomAccess.Write(file, "rot"u8, 1000);
        using var again = DirectoryStore.Open(Path.Combine(_scratch, "rot"));
        Assert.Equal(RefusalCode.FlistIncomplete, again.Publish(built.Manifest.Id, built.Manifest.Encode(), default)?.Code);
        Assert.Empty(again.List(null, 10));
        // Its chunks are missing now, so building again repairs the store.
        await using (var writer = new PackWriter(again))
        {
            await FlistBuilder.BuildAsync(new DirectorySource(tree), BuildOptions.Default, writer, default);
            await writer.CompleteAsync(default);
        }
        Assert.Null(again.Publish(built.Manifest.Id, built.Manifest.Encode(), default));
        Assert.Equal([built.Manifest.Id], again.List(null, 10));
    }

    private async Task<DirectoryStore> FillAsync(string name, IEnumerable<byte[]> chunks)
    {
        var store = DirectoryStore.Open(Path.Combine(_scratch, name));
        await using var writer = new PackWriter(store);
        foreach (var chunk in chunks)
            await writer.AddAsync(Take(chunk), default);
        await writer.CompleteAsync(default);
        return store;
    }

    private string[] PackNames(string store) =>
        [.. Directory.GetFiles(Path.Combine(_scratch, store, "packs"), "*", SearchOption.AllDirectories).Select(p => Path.GetFileName(p)!).Order()];

    private static ChunkBytes Take(byte[] bytes)
    {
        var rented = ArrayPool<byte>.Shared.Rent(bytes.Length);
        bytes.CopyTo(rented, 0);
        return new ChunkBytes(Chunk.Hash(bytes), rented, bytes.Length);
    }

    private static byte[] Noise(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    // Text-like and noise, of every size class.
    private static List<byte[]> Chunks(int seed, int count)
    {
        var random = new Random(seed);
        int[] sizes = [1, 50, 3000, 65_536, 65_537, 200_000, Chunk.Size];
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            var bytes = Noise(random, i < 5 ? sizes[i] : random.Next(1, 9) == 1 ? sizes[random.Next(sizes.Length)] : random.Next(2000, 9000));
            if (random.Next(2) == 0)
                bytes.AsSpan().Replace((byte)0, (byte)255);
            else
                for (var b = 0; b < bytes.Length; b++)
                    bytes[b] &= 15;
            return bytes;
        })];
    }
}
