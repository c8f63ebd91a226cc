using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Log;

/// <summary>The ledger's own first word.</summary>
public static class Ledger
{
    public static Decision Decide(GridState state, Statement statement, OpenLedger body)
    {
        if (state.Origin is not null)
            return Decision.Refuse(RefusalCode.WrongState, $"This ledger was opened before, as '{state.Origin}'.");
        if (statement.Payload.By is not null || !statement.Signers.SequenceEqual([body.Key]))
            return Decision.Refuse(RefusalCode.SignatureMissing, "A ledger is opened by its own key alone.");
        return new LedgerOpened(statement.Payload.Ledger, body.Key);
    }
}

public sealed record LedgerOpened(string Origin, PublicKey Key) : Event
{
    public override string Name => "ledger.opened";

    public override StreamId Stream => new("ledger", default(Digest));
}
