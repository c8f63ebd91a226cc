using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Flists.Hub;
using Grid.Flists.Packs;
using Grid.Flists.Zstd;
using Grid.Hub.Tests;
using Grid.Statements;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>
/// With any one bit changed of an flist's manifest, of its tree, of its bytes or of where they are said to lie, neither a ledger nor a node takes an
/// agreement about it, and nothing starts.
/// </summary>
[Collection("one at a time")]
public sealed class FlippedFlists
{
    // Of each part.
    private const int AtTheNode = 8, AtTheLedger = 250;

    /// <param name="Of">whether an answer of the hub is about it</param>
    /// <param name="Flip">what becomes of that answer's body, and the code that it is refused with</param>
    private sealed record Part(string Name, Func<Answer, bool> Of, Func<byte[], (byte[] Body, string Code)> Flip);

    [Fact]
    public async Task No_flipped_bit_is_taken_by_a_ledger_or_by_a_node()
    {
        await using var stage = await Stage.Stage.SetAsync(examine: false);
        await using var hub = await LyingServer.StartAsync(stage.HubAddress.AbsoluteUri);
        var farm = await stage.AddFarmAsync("north");
        var node = await stage.AddNodeAsync(farm, "one", hub: new Uri(hub.Address));
        var random = new Random(11);
        // Of one chunk, and of noise behind its first lines: as zstd makes nothing of it, it lies in its pack as it is, and no bit means nothing.
        var program = new byte[70_000];
        random.NextBytes(program);
        "#!/bin/busybox sh\nexec sleep 100000\n"u8.CopyTo(program);
        var flist = await stage.PublishAsync(Trees.Make(stage, "noise", root =>
        {
            Trees.Script(root, "bin/noise", "");
            File.WriteAllBytes(Path.Combine(root, "bin/noise"), program);
        }));
        var parts = await PartsAsync(stage, flist, program, random);
        var web = Trees.Run("web", node.Id, flist) with { Entry = "/bin/noise" };

        // A ledger that does not look: the node does.
        foreach (var part in parts)
        {
            for (var round = 0; round < AtTheNode; round++)
            {
                var told = Tell(hub, part);
                var id = await stage.AgreeAsync(stage.Terms(web), "refused");
                var refused = Assert.IsType<Agreement.Refused>((await stage.BundleAsync(id)).Agreement);
                Assert.Equal((part.Name, told()), (part.Name, refused.Code));
                Assert.Empty(node.Traces());
            }
        }

        await stage.Ledger.StopAsync();
        await stage.StartLedgerAsync(examine: true, new Uri(hub.Address));
        var statement = stage.Proposal(stage.Terms(web), farm);
        var before = await SizeAsync(stage);
        foreach (var part in parts)
        {
            for (var round = 0; round < AtTheLedger; round++)
            {
                var told = Tell(hub, part);
                var code = await stage.RefusedAsync(statement);
                Assert.Equal((part.Name, told()), (part.Name, code));
            }
        }
        // Nothing of the node's own came between: it had nothing to say.
        Assert.Equal(before, await SizeAsync(stage));
        Assert.Empty(node.Traces());

        // The very same, when the hub tells the truth.
        hub.Lie = _ => { };
        await stage.SubmitAsync(statement);
        await stage.UntilAsync(new AgreementId(statement.Id.Value), "running");
        Assert.Equal(["web"], node.Running().Keys);
    }

    /// <returns>the code that the lie must be refused with; fails when nobody asked for what it is about</returns>
    private static Func<string> Tell(LyingServer hub, Part part)
    {
        string? code = null;
        hub.Lie = answer =>
        {
            if (part.Of(answer))
                (answer.Body, code) = part.Flip(answer.Body);
        };
        return () => Volatile.Read(ref code) ?? throw new InvalidOperationException($"Nobody asked for the {part.Name}.");
    }

    private static async Task<ImmutableArray<Part>> PartsAsync(Stage.Stage stage, FlistId flist, byte[] program, Random random)
    {
        using var hubs = new HubClient([stage.HubAddress.AbsoluteUri]);
        var root = Flists.Manifest.Decode(await hubs.GetManifestAsync(flist, default)).Root;
        var index = await HubClient.GetIndexAsync(hubs.Hubs[0], flist, 1 << 20, default);
        var chunk = Flists.Chunk.Hash(program);
        Assert.True(index.TryFind(chunk, out var place));
        Assert.Equal(place.FrameLength, place.StoredLength);
        return
        [
            new("manifest", a => a.Path == $"/v1/flists/{flist}/manifest", body => (Flip(body, random), RefusalCode.FlistInvalid)),
            // It travels compressed; what lies compressed has bits that mean nothing, so it is the tree itself that is bent.
            new("tree", a => a.Path == $"/v1/meta/{root}", body => (Compress(Flip(Expand(body), random)), RefusalCode.FlistInvalid)),
            new("chunk", a => a.Path == $"/v1/packs/{place.Pack}" && a.Body.AsSpan().IndexOf(program) >= 0, body =>
            {
                var at = body.AsSpan().IndexOf(program);
                return ([.. body[..at], .. Flip(program, random), .. body[(at + program.Length)..]], RefusalCode.FlistInvalid);
            }),
            new("index", a => a.Path == $"/v1/flists/{flist}/index", body => Mislead(body, chunk, place, random)),
        ];
    }

    /// <summary>A flip that leaves the way to the chunk as it is says nothing wrong of it, and is not one.</summary>
    private static (byte[] Body, string Code) Mislead(byte[] index, Digest chunk, ChunkLocation place, Random random)
    {
        while (true)
        {
            var bent = Flip(index, random);
            try
            {
                if (!PackIndex.Load(bent).TryFind(chunk, out var other))
                    return (bent, RefusalCode.FlistIncomplete);
                if (other != place)
                    return (bent, other.Pack != place.Pack ? RefusalCode.FlistIncomplete : RefusalCode.FlistInvalid);
            }
            catch (PackFormatException)
            {
                return (bent, RefusalCode.FlistInvalid);
            }
        }
    }

    private static byte[] Flip(byte[] bytes, Random random)
    {
        byte[] bent = [.. bytes];
        bent[random.Next(bent.Length)] ^= (byte)(1 << random.Next(8));
        return bent;
    }

    private static byte[] Expand(byte[] body)
    {
        using var expanded = new MemoryStream();
        using var zstd = new ZstdReadStream(new MemoryStream(body), 1 << 20, ZstdCodec.Best);
        zstd.CopyTo(expanded);
        return expanded.ToArray();
    }

    private static byte[] Compress(byte[] content)
    {
        using var body = new MemoryStream();
        using (var zstd = new ZstdWriteStream(body, ZstdCodec.Best))
            zstd.Write(content);
        return body.ToArray();
    }

    private static async Task<long> SizeAsync(Stage.Stage stage) => (await stage.Client.InfoAsync(default)).Try(out var info, out var refusal) ? info.Index : throw new InvalidOperationException(refusal.ToString());
}
