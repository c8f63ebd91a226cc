using System.Collections.Immutable;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Agreements;

/// <summary>Whose consent the signatures on an agreement amount to.</summary>
public static class Signing
{
    /// <summary>
    /// Null when the user's policy is satisfied and every further signature belongs to a farm whose policy is satisfied too; those farms are
    /// in <paramref name="farms"/>. A half-signed farm counts for nothing, so its signatures are not let in.
    /// </summary>
    public static Refusal? Read(GridState state, Statement statement, AgreementTerms terms, out ImmutableArray<FarmId> farms)
    {
        farms = [];
        if (!state.Accounts.TryGetValue(terms.User, out var user))
            return new Refusal(RefusalCode.NotFound, $"The account {terms.User} is not in this ledger.", "Open it first.");
        if (!user.Policy.IsSatisfiedBy(statement.Signers))
        {
            var signers = statement.Signers.Count(user.Policy.Keys.Contains);
            return new Refusal(RefusalCode.SignatureMissing,
                $"{user.Policy.Threshold} of the {user.Policy.Keys.Length} keys of the user {user.Id} must sign; {signers} did.",
                signers == 0 ? "Sign as the user first." : "Have more of the user's keys sign the same bytes, as a draft.");
        }

        var counted = user.Policy.Keys.ToHashSet();
        var signed = ImmutableArray.CreateBuilder<FarmId>();
        foreach (var part in terms.Farms)
        {
            if (!state.Farms.TryGetValue(part.Farm, out var farm))
                return new Refusal(RefusalCode.NotFound, $"The farm {part.Farm} is not in this ledger.");
            var policy = state.Accounts[farm.Account].Policy;
            if (!policy.IsSatisfiedBy(statement.Signers))
                continue;
            signed.Add(part.Farm);
            counted.UnionWith(policy.Keys);
        }
        farms = signed.ToImmutable();
        return GridState.Stranger(statement, counted.Contains);
    }

    /// <summary>
    /// True when every signature here is of somebody who has signed already, with keys of now or of then. Any other was made for somebody who is still
    /// waited for, or for nobody: whoever made it is not to hear that it is recorded.
    /// </summary>
    /// <param name="signed">the farms that signed so far; null when nobody is waited for</param>
    public static bool AddsNothing(GridState state, Statement statement, AgreementTerms terms, ImmutableHashSet<FarmId>? signed) =>
        signed is null || statement.Signers.All(k => state.Accounts[terms.User].Had(k) || signed.Any(f => state.Accounts[state.Farms[f].Account].Had(k)));
}
