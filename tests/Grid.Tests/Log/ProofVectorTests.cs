using System.Text.Json.Nodes;
using Grid.Log;
using Grid.Statements;
using Grid.Units;

namespace Grid.Tests;

/// <summary>Other people's logs and proofs, which we must read, refuse and write as they do.</summary>
public sealed class ProofVectorTests
{
    [Fact]
    public void Inclusion_proofs_are_accepted_and_refused_as_others_do() => Assert.All(Vectors.Array("rfc6962/inclusion.json"), v => Assert.Equal(
        !v!["wantErr"]!.GetValue<bool>(),
        // Empty leaf hashes are an error there; here nothing but 32 bytes is a digest.
        Convert.FromBase64String(v.Text("leafHash")).Length == Digest.Size
            && MerkleTree.VerifyInclusion(Hash(v["leafHash"]), Signed(v["leafIdx"]), Signed(v["treeSize"]), Path(v), Hash(v["root"]))));

    [Fact]
    public void Consistency_proofs_are_accepted_and_refused_as_others_do() => Assert.All(Vectors.Array("rfc6962/consistency.json"), v => Assert.Equal(
        !v!["wantErr"]!.GetValue<bool>(),
        MerkleTree.VerifyConsistency(Signed(v["size1"]), Signed(v["size2"]), Path(v), Hash(v["root1"]), Hash(v["root2"]))));

    [Fact]
    public void Another_implementations_log_comes_out_byte_for_byte()
    {
        var log = Vectors.Node("tlog/tessera.json");
        using var key = SigningKey.FromSeed(log.Hex("seed"));
        Assert.True(NoteKey.TryParse(log.Text("vkey"), out var verifier));
        Assert.Equal(key.Public, verifier.Key);

        var leaves = log["leaves"]!.AsArray().Select(l => System.Text.Encoding.UTF8.GetBytes(l!.GetValue<string>())).ToArray();
        var tree = LogTree.Empty;
        for (var size = 0; size <= leaves.Length; size++)
        {
            var note = log["checkpoints"]![size]!.GetValue<string>();
            Assert.Equal(note, new Checkpoint(verifier.Name, size, tree.Root).Sign(key).ToString());
            Assert.True(Checkpoint.TryVerify(note, verifier.Name, key.Public, out var checkpoint));
            Assert.Equal((size, tree.Root), ((int)checkpoint.Size, checkpoint.Root));
            if (size > 0)
            {
                var path = $"tile/0/000.p/{size}";
                Assert.True(TilePath.TryParse(path, out var tile));
                Assert.Equal(log["tiles"]!.Text(path), Convert.ToHexStringLower(tree.Tile(0, tile.Index, tile.Width)));
                var bundle = log["bundles"]!.Hex($"tile/entries/000.p/{size}");
                Assert.Equal(bundle, EntryBundle.Encode([.. leaves[..size].Select(l => (ReadOnlyMemory<byte>)l)]));
                Assert.Equal(leaves[..size], EntryBundle.Decode(bundle).Select(e => e.ToArray()));
            }
            if (size < leaves.Length)
                tree = tree.Append(MerkleTree.LeafHash(leaves[size]));
        }
    }

    // The vectors hold sizes up to 2⁶⁴−1 and hashes of any length; a hash that is none of ours stands for itself by its own hash.
    private static long Signed(JsonNode? node) => node!.GetValue<ulong>() is var n && n <= long.MaxValue ? (long)n : -1;

    private static Digest Hash(JsonNode? node) => Convert.FromBase64String(node?.GetValue<string>() ?? "") is { Length: Digest.Size } bytes
        ? new Digest(bytes)
        : Digest.Of(Convert.FromBase64String(node?.GetValue<string>() ?? ""));

    private static Digest[] Path(JsonNode v) => [.. v["proof"]!.AsArray().Select(Hash)];
}
