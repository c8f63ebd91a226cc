using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Client;
using Grid.Reconciliation;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>
/// The agreements that concern this node, each verified end to end by the node itself: signatures, inclusion, order, rules. The ledger's answers
/// are hints until their proofs hold.
/// </summary>
internal sealed partial class AgreementFeed(
    LedgerClient ledger, LedgerContact contact, AgreementStore store, NodeId node, TimeProvider time, ILogger log)
{
    private ImmutableDictionary<AgreementId, Held> _held = ImmutableDictionary<AgreementId, Held>.Empty;
    private ImmutableHashSet<AgreementId> _unknown = [];
    private long _after = -1, _asked;

    // A proof that came for the change that is being made is not verified twice for it.
    private static readonly TimeSpan JustNow = TimeSpan.FromSeconds(5);

    private static readonly string[] Over = ["ended", "lapsed", "refused", "withdrawn"];

    /// <summary>Requests for logs that came with the last pull.</summary>
    public ImmutableArray<ReadOnlyMemory<byte>> Asks { get; private set; } = [];

    /// <summary>Why the last pull gave nothing; null when it succeeded.</summary>
    public string? Trouble { get; private set; }

    public ImmutableArray<Agreement> Agreements => [.. _held.Values.Select(h => h.Verified.Agreement).OrderBy(a => a.Id.Value)];

    /// <summary>Agreements that something here belongs to and that the ledger says do not exist.</summary>
    public ImmutableHashSet<AgreementId> Unknown => _unknown;

    public VerifiedAgreement? this[AgreementId id] => _held.GetValueOrDefault(id)?.Verified;

    /// <summary>
    /// True of an agreement that waits for this node's word since later than what is known of the others: one that is in its way by that may be over. The next pull tells.
    /// </summary>
    public bool IsAhead(AgreementId id) => _held.GetValueOrDefault(id) is { } held
        && held.Verified.History.LastOrDefault(e => e.Events.Any(x => x is AgreementEvent.Agreed or AgreementEvent.AmendmentAgreed)) is { } agreed && agreed.Index > _after;

    /// <summary>The workloads of this node that have these files, or had them in an earlier version of their agreement.</summary>
    public IEnumerable<WorkloadKey> UsersOf(FlistId flist) =>
        from held in _held.Values
        from terms in held.Verified.EveryTerms
        from workload in terms.On(node).OfType<Runnable>()
        where workload.Flist == flist
        select new WorkloadKey(held.Verified.Agreement.Id, workload.Name);

    /// <summary>Verifies again what was kept; what no longer holds is dropped and said.</summary>
    public void Restore()
    {
        contact.Restore();
        foreach (var bundle in store.Read())
        {
            if (Verify(bundle) is { } held)
                _held = _held.SetItem(bundle.Agreement, held);
            else
                store.Forget(bundle.Agreement);
        }
    }

    /// <summary>
    /// Asks for what changed and waits up to <paramref name="wait"/> for it. True when something did. A ledger that cannot be reached, or is caught
    /// lying, changes nothing.
    /// </summary>
    public async Task<bool> PullAsync(TimeSpan wait, CancellationToken cancel)
    {
        Asks = [];
        try
        {
            var answer = await ledger.NodeAgreementsAsync(node, _after, wait, cancel, _asked);
            if (!answer.Try(out var page, out var refusal))
                return Failed(refusal);
            (Asks, _asked) = (page.Asks, page.Asked);
            var changed = false;
            foreach (var item in page.Items)
            {
                if (_held.GetValueOrDefault(item.Agreement) is { } known && known.Changed >= item.Changed)
                {
                    contact.Hear(known.Verified.History[^1].Time);
                    continue;
                }
                // What is over and left nothing here needs no proof; what did leave something is asked for by its name.
                if (!_held.ContainsKey(item.Agreement) && Over.Contains(item.Status))
                    continue;
                if (await FetchAsync(item.Agreement, item.Changed, cancel) is { } no)
                    return Failed(no);
                changed = true;
            }
            _after = page.Index;
            contact.Hear();
            Trouble = null;
            return changed;
        }
        catch (LedgerUnreachableException e)
        {
            return Failed(new Refusal("unreachable", e.Message));
        }
    }

    /// <summary>Fetches an agreement that something here claims to belong to.</summary>
    public async Task ResolveAsync(AgreementId id, CancellationToken cancel)
    {
        try
        {
            if (await FetchAsync(id, 0, cancel) is { Code: RefusalCode.NotFound })
                ImmutableInterlocked.Update(ref _unknown, (all, one) => all.Add(one), id);
        }
        catch (LedgerUnreachableException e)
        {
            Failed(new Refusal("unreachable", e.Message));
        }
    }

    /// <summary>True when the bundle still proves what the node is about to act on; verified again unless it was just now.</summary>
    public bool Proves(AgreementId id, StatementId version) =>
        _held.TryGetValue(id, out var held) && (time.GetElapsedTime(held.VerifiedAt) < JustNow ? held : Verify(held.Bundle)) is { } again && again.Verified.Agreement.Version.Id == version;

    /// <summary>Lets go of an agreement that is over and of which nothing is left.</summary>
    public void Forget(AgreementId id)
    {
        ImmutableInterlocked.TryRemove(ref _held, id, out _);
        store.Forget(id);
    }

    private async Task<Refusal?> FetchAsync(AgreementId id, long changed, CancellationToken cancel)
    {
        // What runs here is known here; the receipts of a year would only be carried about.
        var answer = await ledger.BundleAsync(id, receipts: false, cancel);
        if (!answer.Try(out var proven, out var refusal))
        {
            if (answer is Answer<(Bundle, VerifiedAgreement)>.Disproved)
                NotBelieved(id, refusal.Code, refusal.Detail);
            return refusal;
        }
        var held = new Held(proven.Bundle, proven.Verified, changed, time.GetTimestamp());
        // An older proof is true as well, but it may leave out the end: what was seen once is not unseen.
        if (_held.TryGetValue(id, out var known) && known.Verified.Changed > held.Verified.Changed)
            return new Refusal(RefusalCode.Inconsistent, $"The bundle of {id} is older than the one before.");
        // What a proof leaves out at its end nobody can see in it, but here the ledger itself has said that there is more.
        if (held.Verified.Changed < changed)
            return new Refusal(RefusalCode.BadProof, $"The ledger says that {id} changed at entry {changed}; its proof ends with entry {held.Verified.Changed}.");
        store.Keep(held.Bundle);
        contact.Hear(held.Verified.History[^1].Time);
        ImmutableInterlocked.AddOrUpdate(ref _held, id, held, (_, _) => held);
        ImmutableInterlocked.Update(ref _unknown, (all, one) => all.Remove(one), id);
        Changed(id, held.Verified.Agreement.Status);
        return null;
    }

    private Held? Verify(Bundle bundle)
    {
        using var span = NodeTrace.Begin("verify agreement", bundle.Agreement);
        var refusal = bundle.Verify(ledger.Trust.Origin, ledger.Trust.Key, out var verified);
        span.Ended(refusal, failed: true);
        if (refusal is null)
            return new Held(bundle, verified!, verified!.Changed, time.GetTimestamp());
        NotBelieved(bundle.Agreement, refusal.Code, refusal.Detail);
        return null;
    }

    private bool Failed(Refusal refusal)
    {
        Trouble = refusal.ToString();
        PullFailed(refusal.Code, refusal.Detail);
        return false;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Agreement {Agreement} is {Status}")]
    private partial void Changed(AgreementId agreement, string status);

    [LoggerMessage(Level = LogLevel.Error, Message = "Agreement {Agreement} is not believed: {Code}: {Detail}")]
    private partial void NotBelieved(AgreementId agreement, string code, string detail);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The ledger's news could not be had: {Code}: {Detail}")]
    private partial void PullFailed(string code, string detail);

    private sealed record Held(Bundle Bundle, VerifiedAgreement Verified, long Changed, long VerifiedAt);
}
