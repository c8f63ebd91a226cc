using System.Collections.Concurrent;
using Grid.Agreements;
using Grid.Flists.Admission;
using Grid.Flists.Hub;
using Grid.Statements;
using Grid.Units;

namespace Grid.Api;

/// <summary>
/// Looks at the flists of an agreement before it is decided, so that what is not described never becomes an entry. Not part of the fold: the verdict
/// depends on what hubs hold now, and every node looks for itself anyway.
/// </summary>
internal sealed class FlistAdmission(Uri hub) : IDisposable
{
    private const int Remembered = 10_000;

    private readonly HubClient _hubs = new([hub.AbsoluteUri]);
    private readonly ConcurrentDictionary<StatementId, bool> _described = [];

    public async ValueTask<Refusal?> CheckAsync(Statement statement, CancellationToken cancel)
    {
        // A countersignature is over the same payload: it was looked at when it was proposed.
        if (statement.Payload.Body is not AgreementTerms terms || _described.ContainsKey(statement.Id))
            return null;
        try
        {
            // Rules that cost nothing come first; the ledger decides them again.
            if (AgreementRules.Check(terms) is [var broken, ..])
                return broken;
            if (await new DescribedFiles(_hubs).CheckAsync(terms.Workloads, cancel) is [var first, ..])
                return first;
        }
        catch (HubException e)
        {
            return new Refusal(ApiCode.Busy, $"The flists cannot be looked at now: {e.Message}", "Submit it again in a moment.");
        }
        if (_described.Count >= Remembered)
            _described.Clear();
        _described[statement.Id] = true;
        return null;
    }

    public void Dispose() => _hubs.Dispose();
}
