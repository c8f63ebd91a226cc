using Grid.Client.Http;
using Grid.Log;
using Grid.Units;

namespace Grid.Client;

/// <summary>
/// Holds every checkpoint that an answer carries against the last one believed: signed by the pinned key, never shorter, never another history.
/// </summary>
internal sealed class SeenLog(LedgerTrust trust, ICheckpointStore store, Func<long, long, CancellationToken, Task<Answer<ConsistencyDocument>>> fetch) : IDisposable
{
    private readonly SemaphoreSlim _one = new(1);
    private Checkpoint? _last;
    private bool _loaded;

    /// <summary>The size that no answer to a question asked from now on may be below.</summary>
    public async Task<Answer<long>> FloorAsync(CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            return await LoadAsync(cancellation).ConfigureAwait(false) is { } refusal ? new Answer<long>.Disproved(refusal) : _last?.Size ?? 0;
        }
        finally
        {
            _one.Release();
        }
    }

    /// <returns>null and the checkpoint when it can be believed</returns>
    public async Task<Answer<Checkpoint>> BelieveAsync(string note, long floor, CancellationToken cancellation)
    {
        if (!Checkpoint.TryVerify(note, trust.Origin, trust.Key, out var next))
            return No(RefusalCode.BadCheckpoint, $"The checkpoint is not signed by {trust.Key} for '{trust.Origin}'.", "Check the ledger's address and the pinned key.");
        await _one.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (await LoadAsync(cancellation).ConfigureAwait(false) is { } broken)
                return new Answer<Checkpoint>.Disproved(broken);
            if (next.Size < floor)
                return No(RefusalCode.Inconsistent, $"The ledger showed {floor} entries before and shows {next.Size} now: it went back.", Evidence);
            if (_last is not { Size: > 0 } last)
                return await KeepAsync(next, note, cancellation).ConfigureAwait(false);
            if (next.Size == last.Size)
                return next.Root == last.Root ? next : No(RefusalCode.Inconsistent, $"Two signed checkpoints of {next.Size} entries differ: {last.Root} and {next.Root}. The log has forked.", Evidence);
            // An answer that was under way while another moved on is older; it must still be of the same history.
            var (small, large) = next.Size < last.Size ? (next, last) : (last, next);
            if (small.Size > 0)
            {
                var answer = await fetch(small.Size, large.Size, cancellation).ConfigureAwait(false);
                if (!answer.Try(out var proof, out var refusal))
                    return new Answer<Checkpoint>.Disproved(new Refusal(RefusalCode.Inconsistent, $"The ledger does not prove that {small.Size} entries grew into {large.Size}: {refusal.Detail}", Evidence));
                if (!Hex.TryPath(proof.Path, out var path) || !MerkleTree.VerifyConsistency(small.Size, large.Size, path, small.Root, large.Root))
                    return No(RefusalCode.Inconsistent, $"The proof that {small.Size} entries grew into {large.Size} does not hold: the history was changed.", Evidence);
            }
            return next.Size > last.Size ? await KeepAsync(next, note, cancellation).ConfigureAwait(false) : next;
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose() => _one.Dispose();

    private const string Evidence = "Keep both checkpoints and warn others; do not trust this ledger until it is explained.";

    private static Answer<Checkpoint> No(string code, string detail, string next) => new Answer<Checkpoint>.Disproved(new Refusal(code, detail, next));

    private async Task<Checkpoint> KeepAsync(Checkpoint next, string note, CancellationToken cancellation)
    {
        await store.SaveAsync(note, cancellation).ConfigureAwait(false);
        return _last = next;
    }

    private async Task<Refusal?> LoadAsync(CancellationToken cancellation)
    {
        if (_loaded)
            return null;
        if (await store.LoadAsync(cancellation).ConfigureAwait(false) is { } note && !Checkpoint.TryVerify(note, trust.Origin, trust.Key, out _last))
            return new Refusal(RefusalCode.BadCheckpoint, "The checkpoint that was kept from before is damaged or another ledger's.", "If you know why, remove it; the next one is then believed on sight.");
        _loaded = true;
        return null;
    }
}

internal static class Hex
{
    public static bool TryPath(IReadOnlyCollection<string> texts, out Digest[] path)
    {
        path = [];
        if (texts.Count > MerkleTree.MaximumPath || texts.Any(t => t is not { Length: 2 * Digest.Size } || !t.All(char.IsAsciiHexDigitLower)))
            return false;
        path = [.. texts.Select(t => Digest.ParseHex(t))];
        return true;
    }
}
