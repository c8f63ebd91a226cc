using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Api;

/// <summary>
/// Half-signed statements waiting for their other signers. A convenience, not a record: kept in memory, bounded, forgotten when they are
/// recorded, expire or the ledger restarts. Only who has a say in a statement can lay it down.
/// </summary>
public sealed class Drafts(TimeProvider clock)
{
    public const int MaximumEach = 100;
    public const long MaximumBytes = 64 << 20;

    public static readonly TimeSpan Longest = TimeSpan.FromDays(7);

    private readonly Lock _gate = new();
    private readonly Dictionary<StatementId, Draft> _drafts = [];
    private long _bytes;

    /// <summary>Keeps the statement, or adds its signatures to those that are there. The signatures verify.</summary>
    /// <param name="state">in which the parties are looked up</param>
    public Refusal? Lay(Statement statement, GridState state)
    {
        var now = clock.GetUtcNow();
        if (statement.Payload.Ledger != state.Origin)
            return new Refusal(RefusalCode.WrongLedger, $"It is meant for the ledger '{statement.Payload.Ledger}'; this is '{state.Origin}'.");
        if (statement.Payload.Until <= now)
            return new Refusal(RefusalCode.Expired, $"It could be accepted until {statement.Payload.Until.Text()}; it is {now.Text()}.", "Sign it again.");
        var parties = Parties(statement, state);
        var known = parties.SelectMany(p => state.Accounts.TryGetValue(p, out var account) ? account.Policy.Keys : []).ToHashSet();
        if (statement.Signers.FirstOrDefault(k => !known.Contains(k)) is { } stranger && stranger != default)
            return new Refusal(RefusalCode.StrangerSigned, $"The key {stranger} has no say in this.", "Remove its signature.");
        lock (_gate)
        {
            Forget(state, now);
            if (_drafts.Remove(statement.Id, out var before))
            {
                _bytes -= before.Statement.Bytes.Length;
                statement = before.Statement.Merge(statement);
            }
            else if (_bytes + statement.Bytes.Length > MaximumBytes || _drafts.Values.Count(d => d.Parties[0] == parties[0]) >= MaximumEach)
            {
                return new Refusal(ApiCode.TooManyRequests, $"{parties[0]} has {MaximumEach} drafts waiting, or the ledger holds all it can.", "Have some signed or wait until they expire.");
            }
            _drafts[statement.Id] = new Draft(statement, parties, now + Longest < statement.Payload.Until ? now + Longest : statement.Payload.Until);
            _bytes += statement.Bytes.Length;
            return null;
        }
    }

    /// <summary>What waits where this account has a say, oldest id first.</summary>
    public ImmutableArray<Statement> For(AccountId account, GridState state)
    {
        lock (_gate)
        {
            Forget(state, clock.GetUtcNow());
            return [.. _drafts.Values.Where(d => d.Parties.Contains(account) && !HasSpoken(d, account, state)).Select(d => d.Statement).OrderBy(s => s.Id.Value)];
        }
    }

    private void Forget(GridState state, DateTimeOffset now)
    {
        foreach (var (id, draft) in _drafts.Where(d => d.Value.Until <= now || IsDone(d.Value.Statement, state)).ToList())
        {
            _drafts.Remove(id);
            _bytes -= draft.Statement.Bytes.Length;
        }
    }

    // An agreement that is recorded may still wait for a farm.
    private static bool IsDone(Statement statement, GridState state) => state.Known.ContainsKey(statement.Id)
        && (statement.Payload.Body is not AgreementTerms
            || state.Agreements.GetValueOrDefault(statement.Agreement()!.Value) is not { } agreement
            || !(agreement is Agreement.Proposed || agreement.Next is Amendment.Proposed));

    // What is recorded was signed by as many keys as its speaker has to bring.
    private static bool HasSpoken(Draft draft, AccountId account, GridState state) => draft.Parties[0] == account && state.Known.ContainsKey(draft.Statement.Id);

    // Who speaks comes first: the quota is theirs.
    private static ImmutableArray<AccountId> Parties(Statement statement, GridState state)
    {
        var parties = ImmutableArray.CreateBuilder<AccountId>();
        parties.Add(statement.Payload.By is { } by ? new AccountId(by) : default);
        if (statement.Payload.Body is AgreementTerms terms)
            parties.AddRange(terms.Farms.Select(f => state.Farms.TryGetValue(f.Farm, out var farm) ? farm.Account : default));
        return parties.ToImmutable();
    }

    private sealed record Draft(Statement Statement, ImmutableArray<AccountId> Parties, DateTimeOffset Until);
}
