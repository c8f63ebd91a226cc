using System.Collections.Immutable;
using System.Diagnostics;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Accounts;

/// <summary>A person or organisation: a set of keys and how many must sign.</summary>
public sealed record Account(AccountId Id, KeyPolicy Policy)
{
    /// <summary>The keys that it had and gave up. They count for nothing but for knowing what was signed with them.</summary>
    public ImmutableHashSet<PublicKey> Former { get; init; } = [];

    /// <summary>True for a key that is its own, or was.</summary>
    public bool Had(PublicKey key) => Policy.Keys.Contains(key) || Former.Contains(key);

    public static Decision Decide(GridState state, Statement statement, OpenAccount body)
    {
        if (statement.Payload.By is not null)
            return Decision.Refuse(RefusalCode.Malformed, "Nobody speaks when an account is opened: 'by' is null.");
        return MissingOrStranger(statement, body.Policy, []) ?? (Decision)new AccountEvent.Opened(new AccountId(statement.Id.Value), body.Policy);
    }

    public static Decision Decide(GridState state, Statement statement, RekeyAccount body)
    {
        if (statement.Payload.By is not { } by || !state.Accounts.TryGetValue(new AccountId(by), out var account))
            return Decision.Refuse(RefusalCode.NotFound, "An account of this ledger must speak.");
        if (!account.Policy.IsSatisfiedBy(statement.Signers))
            return Decision.Refuse(RefusalCode.SignatureMissing, $"{account.Policy.Threshold} of the keys that {account.Id} has now must sign.");
        return MissingOrStranger(statement, body.Policy, account.Policy.Keys.AsSpan()) ?? (Decision)new AccountEvent.Rekeyed(account.Id, body.Policy);
    }

    public static Account Evolve(Account? account, AccountEvent happened) => (happened, account) switch
    {
        (AccountEvent.Opened e, null) => new Account(e.Account, e.Policy),
        (AccountEvent.Rekeyed e, { } a) => a with { Policy = e.Policy, Former = a.Former.Union(a.Policy.Keys).Except(e.Policy.Keys) },
        _ => throw new UnreachableException($"{happened.Name} cannot follow."),
    };

    private static Decision? MissingOrStranger(Statement statement, KeyPolicy policy, ReadOnlySpan<PublicKey> others)
    {
        var before = others.ToArray();
        if (policy.Keys.FirstOrDefault(k => !statement.Signers.Contains(k)) is { } missing && missing != default)
            return Decision.Refuse(RefusalCode.SignatureMissing, $"The key {missing} must sign too: nobody enrols a key that is not theirs.");
        return GridState.Stranger(statement, k => policy.Keys.Contains(k) || before.Contains(k)) is { } stranger ? (Decision)stranger : null;
    }
}

public abstract record AccountEvent(AccountId Account) : Event
{
    public override StreamId Stream => new("account", Account.Value);

    public sealed record Opened(AccountId Account, KeyPolicy Policy) : AccountEvent(Account)
    {
        public override string Name => "account.opened";
    }

    public sealed record Rekeyed(AccountId Account, KeyPolicy Policy) : AccountEvent(Account)
    {
        public override string Name => "account.rekeyed";
    }
}
