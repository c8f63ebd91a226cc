using Grid.Statements;

namespace Grid.Log;

/// <summary>
/// The first entry of every ledger, signed by the key that will sign its checkpoints. An auditor needs nothing else to begin.
/// <code>ledger.open = { "key": key }</code>
/// </summary>
public sealed record OpenLedger(PublicKey Key) : Body
{
    public const string Name = "ledger.open";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(1, m => m.Key("key").PublicKey(Key));

    internal static OpenLedger Read(CanonicalReader r) => r.Map(m => new OpenLedger(m.Field("key").Key()));
}
