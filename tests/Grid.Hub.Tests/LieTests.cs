using Grid.Flists;
using Grid.Flists.Cache;
using Grid.Flists.Content;
using Grid.Flists.Hub;
using Grid.Flists.Packs;
using Grid.Flists.Zstd;
using Grid.Units;

namespace Grid.Hub.Tests;

public sealed class LieTests
{
    [Theory]
    [InlineData("manifest", 200)]
    [InlineData("meta", 300)]
    [InlineData("index", 300)]
    [InlineData("packs", 400)]
    public async Task No_flipped_bit_of_any_answer_is_ever_believed(string target, int flips)
    {
        await using var scene = await Scene.MakeAsync(seed: 7, large: false);
        var honest = await scene.FilledHubAsync();
        using var truth = Scene.Client(honest.Address);
        var index = await HubClient.GetIndexAsync(truth.Hubs[0], scene.Id, 1 << 20, default);
        var liar = await scene.LiarAsync(honest.Address);
        var random = new Random(20261122);
        byte[]? told = null;
        liar.Lie = answer =>
        {
            if (!answer.Path.Contains(target, StringComparison.Ordinal))
                return;
            var bit = random.Next(answer.Body.Length * 8);
            answer.Body[bit / 8] ^= (byte)(1 << (bit % 8));
            Volatile.Write(ref told, answer.Body);
        };
        var chunks = Enumerable.Range(0, scene.Meta.DistinctChunkCount).Select(scene.Meta.DistinctChunk).Where(c => c != PackLimits.ZeroChunk).ToArray();
        // One round each: a second would only be flipped again.
        using var client = new HubClient([liar.Address], Scene.Quick with { Attempts = 1 });
        for (var i = 0; i < flips; i++)
        {
            var chunk = chunks[i % chunks.Length];
            Assert.True(index.TryFind(chunk, out var place));
            Volatile.Write(ref told, null);
            var refused = false;
            try
            {
                using var source = await FlistSource.OpenAsync(scene.Id, client, new SourceLimits(1 << 20, 1 << 20), default);
                Assert.True(scene.Meta.Bytes.Span.SequenceEqual(source.Meta.Bytes.Span));
                Assert.Equal(chunk, Chunk.Hash(await source.ReadChunkAsync(chunk, default)));
            }
            catch (HubException e)
            {
                Assert.Contains(e.Failure, (HubFailure[])[HubFailure.WrongBytes, HubFailure.NotFound, HubFailure.BadAnswer, HubFailure.Refused]);
                refused = true;
            }
            var lie = Volatile.Read(ref told);
            Assert.True(lie is not null, "Nobody asked for it.");
            Assert.Equal(target switch
            {
                "manifest" => true,
                "meta" => Tree(lie) is not { } tree || !scene.Meta.Bytes.Span.SequenceEqual(tree),
                "index" => Place(lie, chunk) != place,
                _ => Content(lie, place) != chunk,
            }, refused);
        }
    }

    // What of a lie is none: bits of what lies compressed that mean nothing, another file's place, and the neighbours of a chunk in its frame.

    private static byte[]? Tree(byte[] body)
    {
        try
        {
            using var expanded = new MemoryStream();
            using var zstd = new ZstdReadStream(new MemoryStream(body), 1 << 20, ZstdCodec.Best);
            zstd.CopyTo(expanded);
            return expanded.ToArray();
        }
        catch (ZstdFormatException)
        {
            return null;
        }
    }

    private static ChunkLocation? Place(byte[] body, Digest chunk)
    {
        try
        {
            return PackIndex.Load(body).TryFind(chunk, out var place) ? place : null;
        }
        catch (PackFormatException)
        {
            return null;
        }
    }

    private static Digest? Content(byte[] stored, ChunkLocation place)
    {
        try
        {
            using var codec = new FrameCodec(ZstdCodec.Best);
            var content = new byte[place.FrameLength];
            codec.Decode(stored, content);
            return Chunk.Hash(content.AsSpan(place.Offset, place.Length));
        }
        catch (PackFormatException)
        {
            return null;
        }
    }

    [Fact]
    public async Task A_cache_between_a_liar_and_an_honest_hub_reads_every_byte_right_and_keeps_nothing_wrong()
    {
        await using var scene = await Scene.MakeAsync(seed: 3);
        var honest = await scene.FilledHubAsync();
        var liar = await scene.LiarAsync(honest.Address);
        var random = new Random(5);
        liar.Lie = answer =>
        {
            if (answer.Body.Length > 0)
                answer.Body[random.Next(answer.Body.Length)] ^= 0x20;
        };
        using (var client = Scene.Client(liar.Address, honest.Address))
            await ReadAllAsync(scene, client);
        // All of it again with nobody to ask.
        using var nobody = Scene.Client("http://127.0.0.1:1");
        await ReadAllAsync(scene, nobody);
    }

    [Fact]
    public async Task Wrong_bytes_alone_are_an_error_and_leave_nothing_behind()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var honest = await scene.FilledHubAsync();
        var liar = await scene.LiarAsync(honest.Address);
        liar.Lie = answer =>
        {
            if (answer.Path.Contains("packs", StringComparison.Ordinal))
                answer.Body.AsSpan().Reverse();
        };
        using var client = Scene.Client(liar.Address);
        await using var cache = FlistCache.Open(scene["cache"], client);
        using var flist = await cache.OpenAsync(scene.Id, default);
        foreach (var inode in scene.Files.Where(i => scene.Meta[i].Size > 0 && scene.Expected(i).Any(b => b != 0)))
        {
            await Assert.ThrowsAsync<FlistReadException>(async () => await flist.ReadAsync(inode, 0, new byte[1 << 20], default));
            Assert.Null(flist.TryOpenComplete(inode));
        }
    }

    [Theory]
    [InlineData("200 for 206", HubFailure.BadAnswer)]
    [InlineData("short", HubFailure.Unreachable)]
    [InlineData("stated short", HubFailure.BadAnswer)]
    [InlineData("long", HubFailure.BadAnswer)]
    [InlineData("wrong range", HubFailure.BadAnswer)]
    [InlineData("no range", HubFailure.BadAnswer)]
    [InlineData("404", HubFailure.NotFound)]
    [InlineData("429", HubFailure.Busy)]
    [InlineData("503", HubFailure.Busy)]
    [InlineData("500", HubFailure.BadAnswer)]
    [InlineData("redirect", HubFailure.BadAnswer)]
    [InlineData("hang", HubFailure.TimedOut)]
    [InlineData("drip", HubFailure.TimedOut)]
    public async Task Every_lie_about_a_range_is_a_typed_error_and_another_hub_serves(string lie, HubFailure failure)
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var honest = await scene.FilledHubAsync();
        var liar = await scene.LiarAsync(honest.Address);
        liar.Lie = answer =>
        {
            if (answer.Path.Contains("packs", StringComparison.Ordinal))
                Tell(lie, answer);
        };
        var options = new HubClientOptions(TimeSpan.FromMilliseconds(300), 1 << 30, 1, TimeSpan.FromMilliseconds(1));
        var chunk = scene.Meta.Chunk(scene.Files.First(i => scene.Meta[i].Size == 70_000), 0);

        using (var alone = new HubClient([liar.Address], options))
        using (var source = await FlistSource.OpenAsync(scene.Id, alone, new SourceLimits(), default))
            Assert.Equal(failure, (await Assert.ThrowsAsync<HubException>(() => source.ReadChunkAsync(chunk, default))).Failure);

        using var both = new HubClient([liar.Address, honest.Address], options with { IdleTimeout = TimeSpan.FromSeconds(2) });
        using var served = await FlistSource.OpenAsync(scene.Id, both, new SourceLimits(), default);
        Assert.Equal(chunk, Chunk.Hash(await served.ReadChunkAsync(chunk, default)));
    }

    [Fact]
    public async Task A_meta_file_or_index_beyond_the_limit_is_not_taken()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var honest = await scene.FilledHubAsync();
        using var client = Scene.Client(honest.Address);
        var meta = await Assert.ThrowsAsync<HubException>(() => FlistSource.OpenAsync(scene.Id, client, new SourceLimits(Meta: 512), default));
        Assert.Contains(meta.Failure, (HubFailure[])[HubFailure.WrongBytes, HubFailure.BadAnswer]);
        using var source = await FlistSource.OpenAsync(scene.Id, client, new SourceLimits(Index: 16), default);
        var chunk = scene.Meta.Chunk(scene.Files.First(i => scene.Meta[i].Size == 70_000), 0);
        Assert.Equal(HubFailure.BadAnswer, (await Assert.ThrowsAsync<HubException>(() => source.ReadChunkAsync(chunk, default))).Failure);
    }

    private static void Tell(string lie, Answer answer)
    {
        switch (lie)
        {
            case "200 for 206": answer.Status = 200; break;
            case "short": answer.StatedLength = answer.Body.Length; answer.Body = answer.Body[..^1]; break;
            case "stated short": answer.Body = answer.Body[..^1]; break;
            case "long": answer.Body = [.. answer.Body, 0]; break;
            case "wrong range": answer.ContentRange = $"bytes 1-{answer.Body.Length}/99999999"; break;
            case "no range": answer.ContentRange = null; break;
            case "redirect": answer.Status = 302; answer.Location = "http://127.0.0.1:1/"; break;
            case "hang": answer.Hang = true; break;
            case "drip": answer.DripBytes = 512; break;
            default: answer.Status = int.Parse(lie); break;
        }
    }

    private static async Task ReadAllAsync(Scene scene, HubClient client)
    {
        await using var cache = FlistCache.Open(scene["cache"], client);
        using var flist = await cache.OpenAsync(scene.Id, default);
        foreach (var inode in scene.Files)
        {
            var bytes = new byte[scene.Meta[inode].Size];
            Assert.Equal(bytes.Length, await flist.ReadAsync(inode, 0, bytes, default));
            Assert.True(scene.Expected(inode).AsSpan().SequenceEqual(bytes));
        }
    }
}
