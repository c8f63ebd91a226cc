using System.Collections.Immutable;
using System.Text;
using Grid.Client.Http;
using Grid.Log;
using Grid.Statements;
using Grid.Units;

namespace Grid.Client;

/// <summary>The log itself, as static files (C2SP tlog-tiles).</summary>
public sealed partial class LedgerClient
{
    /// <summary>The newest checkpoint, believed, and the note it came in.</summary>
    public async Task<Answer<(Checkpoint Checkpoint, string Note)>> CheckpointAsync(CancellationToken cancellation)
    {
        var floor = await _seen.FloorAsync(cancellation).ConfigureAwait(false);
        if (!floor.Try(out var size, out var damaged))
            return new Answer<(Checkpoint, string)>.Disproved(damaged);
        using var request = new HttpRequestMessage(HttpMethod.Get, "checkpoint");
        var reply = await SendAsync(request, SignedNote.MaximumSize, cancellation).ConfigureAwait(false);
        if (reply.TooLarge || (int)reply.Status != 200 || reply.MediaType != "text/plain")
            return reply.Refusal is { } no ? no : new Answer<(Checkpoint, string)>.Disproved(reply.Malformed("a checkpoint"));
        var note = Encoding.UTF8.GetString(reply.Body.Span);
        var believed = await _seen.BelieveAsync(note, size, cancellation).ConfigureAwait(false);
        return believed.As(checkpoint => (checkpoint, note));
    }

    /// <summary>The path of an entry in the tree of some size; what it proves depends on the leaf and the root the caller holds.</summary>
    public async Task<Answer<ImmutableArray<Digest>>> InclusionAsync(long index, long size, CancellationToken cancellation)
    {
        var answer = await GetAsync($"v1/proof/{index}?size={size}", WireContext.Default.InclusionDocument, "an inclusion proof", cancellation).ConfigureAwait(false);
        if (!answer.Try(out var proof, out _))
            return answer.As(_ => ImmutableArray<Digest>.Empty);
        return Hex.TryPath(proof.Path, out var path) && proof.Index == index && proof.Size == size
            ? path.ToImmutableArray()
            : new Answer<ImmutableArray<Digest>>.Disproved(new Refusal(RefusalCode.BadProof, $"The proof that was answered is not of entry {index} in {size} entries."));
    }

    /// <summary>Proven consistent: the tree of size <paramref name="from"/> with its root grew into <paramref name="to"/>.</summary>
    public async Task<Answer<bool>> ConsistencyAsync(Checkpoint from, Checkpoint to, CancellationToken cancellation)
    {
        var answer = await GetAsync($"v1/consistency?from={from.Size}&to={to.Size}", WireContext.Default.ConsistencyDocument, "a consistency proof", cancellation).ConfigureAwait(false);
        return answer.As(proof => Hex.TryPath(proof.Path, out var path) && MerkleTree.VerifyConsistency(from.Size, to.Size, path, from.Root, to.Root));
    }

    /// <summary>The entries of one bundle as it is in a log of <paramref name="size"/> entries. Their hashes are for the caller to hold against a root.</summary>
    /// <param name="bundle">entries 256 × <paramref name="bundle"/> and on</param>
    public async Task<Answer<ImmutableArray<Entry>>> EntriesAsync(long bundle, long size, CancellationToken cancellation)
    {
        var width = (int)long.Clamp(size - (bundle * TilePath.FullWidth), 0, TilePath.FullWidth);
        if (width == 0)
            return ImmutableArray<Entry>.Empty;
        using var request = new HttpRequestMessage(HttpMethod.Get, new TilePath(null, bundle, width).ToString());
        var reply = await SendAsync(request, TilePath.FullWidth * (Entry.MaximumSize + sizeof(ushort)), cancellation).ConfigureAwait(false);
        if (reply.TooLarge || (int)reply.Status != 200)
            return reply.Refusal is { } no ? no : new Answer<ImmutableArray<Entry>>.Disproved(reply.Malformed("a bundle of entries"));
        try
        {
            var entries = EntryBundle.Decode(reply.Body).Select(bytes => Entry.Decode(bytes)).ToImmutableArray();
            if (entries.Length != width || entries.Where((e, i) => e.Index != (bundle * TilePath.FullWidth) + i).Any())
                return new Answer<ImmutableArray<Entry>>.Disproved(new Refusal(RefusalCode.BadProof, $"The bundle {bundle} does not hold the {width} entries it must."));
            return entries;
        }
        catch (StatementFormatException e)
        {
            return new Answer<ImmutableArray<Entry>>.Disproved(e.ToRefusal());
        }
    }
}
