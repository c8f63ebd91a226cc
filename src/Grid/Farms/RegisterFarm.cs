using Grid.Statements;

namespace Grid.Farms;

/// <summary>
/// Founds a farm of the account that speaks; the name is unique in the ledger.
/// <code>farm.register = { "name": text }    ; 3–40 of [a-z0-9-], no hyphen at either end</code>
/// </summary>
public sealed record RegisterFarm(string FarmName) : Body
{
    public const string Name = "farm.register";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => w.Map(1, m => m.Key("name").Text(FarmName));

    internal static RegisterFarm Read(CanonicalReader r) => r.Map(m => new RegisterFarm(m.Field("name").Text(40)));
}
