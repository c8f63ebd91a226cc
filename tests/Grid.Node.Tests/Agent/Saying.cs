using Grid.Node.Agent;
using Grid.Node.Tests.Containers;
using Grid.Statements;
using Grid.Units;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

/// <summary>A node that speaks to a ledger which only hears, and a directory for what it keeps.</summary>
public abstract class Saying : IDisposable
{
    private protected const string Origin = "grid.test/main";

    private protected static readonly NodeId Node = new(Digest.Of("node"u8));
    private protected static readonly AgreementId Agreement = new(Digest.Of("agreement"u8));

    private protected SigningKey Key { get; } = SigningKey.FromSeed(new byte[32]);

    private protected HearingLedger Ledger { get; } = new(Origin);

    private protected NodeVoice Voice => new(Key, Node, Origin, TimeProvider.System);

    private protected string Kept { get; } = Directory.CreateTempSubdirectory("grid-saying-").FullName;

    private protected Grid.Node.Agent.Receipts ReceiptsOn(Machine machine) => new(
        Path.Combine(Kept, "receipts"), Path.Combine(Kept, "receipts.json"), Ledger.Client, new LedgerContact(Path.Combine(Kept, "heard"), TimeProvider.System), Voice,
        new WorkloadSight(machine.Hosts), new Meter(_ => null, TimeProvider.System), TimeProvider.System, NullLogger.Instance);

    public void Dispose()
    {
        Ledger.Dispose();
        Key.Dispose();
        Directory.Delete(Kept, recursive: true);
        GC.SuppressFinalize(this);
    }
}
