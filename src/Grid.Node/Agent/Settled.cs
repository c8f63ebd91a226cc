using Grid.Client;

namespace Grid.Node.Agent;

internal static class Settled
{
    /// <summary>
    /// The ledger has said its last word of a statement: it is recorded, or never will be. An answer that does not hold up is nobody's word, a proxy's perhaps;
    /// another ledger's says nothing of ours; and clocks that disagree come to agree.
    /// </summary>
    public static bool IsSettled<T>(this Answer<T> answer) => answer switch
    {
        Answer<T>.Disproved => false,
        Answer<T>.Refused { Refusal.Code: RefusalCode.NotYetValid or RefusalCode.WrongLedger } => false,
        _ => true,
    };
}
