using Grid.Statements;
using Grid.Units;

namespace Grid.Agreements;

/// <summary>Which agreement a statement is about, by what it says itself.</summary>
public static class AboutAgreement
{
    /// <summary>Null when it is about none. A first proposal is about the one that it founds.</summary>
    public static AgreementId? Agreement(this Statement statement) => statement.Payload.Body switch
    {
        AgreementTerms terms => terms.Amends?.Agreement ?? new AgreementId(statement.Id.Value),
        WorkloadReady ready => ready.Agreement,
        WorkloadRefused refused => refused.Agreement,
        Receipt receipt => receipt.Agreement,
        CancelAgreement cancel => cancel.Agreement,
        DeadlinePassed passed => passed.Agreement,
        _ => null,
    };
}
