using System.Collections.Frozen;
using Grid.Accounts;
using Grid.Agreements;
using Grid.Farms;
using Grid.Log;
using Grid.Nodes;
using Grid.Offers;

namespace Grid.Statements;

/// <summary>What a statement says. One sealed record per kind; its CDDL, writer and reader stand side by side in the folder of its noun.</summary>
public abstract record Body
{
    private static readonly FrozenDictionary<string, Func<CanonicalReader, Body>> Readers = new Dictionary<string, Func<CanonicalReader, Body>>
    {
        [OpenLedger.Name] = OpenLedger.Read,
        [OpenAccount.Name] = OpenAccount.Read,
        [RekeyAccount.Name] = RekeyAccount.Read,
        [RegisterFarm.Name] = RegisterFarm.Read,
        [ListAddresses.Name] = ListAddresses.Read,
        [InviteNode.Name] = InviteNode.Read,
        [JoinNode.Name] = JoinNode.Read,
        [ReportNode.Name] = ReportNode.Read,
        [RetireNode.Name] = RetireNode.Read,
        [DrainNode.Name] = DrainNode.Read,
        [PostOffer.Name] = PostOffer.Read,
        [WithdrawOffer.Name] = WithdrawOffer.Read,
        [AgreementTerms.Name] = AgreementTerms.Read,
        [WorkloadReady.Name] = WorkloadReady.Read,
        [WorkloadRefused.Name] = WorkloadRefused.Read,
        [Receipt.Name] = Receipt.Read,
        [CancelAgreement.Name] = CancelAgreement.Read,
        [DeadlinePassed.Name] = DeadlinePassed.Read,
    }.ToFrozenDictionary();

    /// <summary>The stable name under which this body travels.</summary>
    public abstract string Kind { get; }

    public static IEnumerable<string> KnownKinds => Readers.Keys.Order(StringComparer.Ordinal);

    public abstract void Write(CanonicalWriter w);

    /// <exception cref="StatementFormatException">no such kind</exception>
    internal static Func<CanonicalReader, Body> Reader(string kind) => Readers.TryGetValue(kind, out var read)
        ? read
        : throw new StatementFormatException(RefusalCode.UnknownKind, $"The statement kind '{kind}' is not known.");
}
