using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Api;
using Grid.Client;
using Grid.Hub;
using Grid.Networks;
using Grid.Nodes;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;

[assembly: AssemblyFixture(typeof(Grid.Cli.Tests.RealLedger))]

namespace Grid.Cli.Tests;

/// <summary>One real ledger, on its own PostgreSQL, and one real hub, both on loopback, for all journeys.</summary>
public sealed class RealLedger : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grid-ledger-").FullName;
    private LedgerServer? _server;
    private HubServer? _hub;

    public string Address => _server!.Address;

    public string Hub => _hub!.Address;

    public async ValueTask InitializeAsync()
    {
        // PostgreSQL runs as a user of its own and has to pass through.
        File.SetUnixFileMode(_directory, (UnixFileMode)0b111_101_101);
        _server = await LedgerServer.StartAsync(new LedgerOptions { Origin = "grid.test/cli", Data = _directory, Listen = "http://127.0.0.1:0", Rate = 0 });
        _hub = await HubServer.StartAsync(new HubOptions { Listen = "http://127.0.0.1:0", Store = Path.Combine(_directory, "hub") });
    }

    public async ValueTask DisposeAsync()
    {
        if (_hub is not null)
            await _hub.DisposeAsync();
        if (_server is not null)
            await _server.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }
}

/// <summary>What a node says to the ledger, said by a test with the node's own key: it joins by a real invite and answers as it is told to.</summary>
internal sealed class NodeVoice : IDisposable
{
    private readonly byte[] _seed = System.Security.Cryptography.RandomNumberGenerator.GetBytes(32);
    private readonly SigningKey _key;
    private readonly LedgerClient _ledger;

    private NodeVoice(LedgerClient ledger) => (_ledger, _key, Opener) = (ledger, SigningKey.FromSeed(_seed), new SecretOpener(_seed, ledger.Trust.Origin));

    public SecretOpener Opener { get; }

    public NodeId Id { get; private set; }

    public string? Domain { get; private init; }

    /// <param name="domain">under which it gives names to gateways</param>
    public static async Task<NodeVoice> JoinAsync(string inviteFile, string? domain = null)
    {
        var invite = JsonNode.Parse(await File.ReadAllTextAsync(inviteFile))!;
        string Text(string name) => invite[name]!.GetValue<string>();
        var trust = new LedgerTrust(Text("origin"), Units.Id.Parse<PublicKey>(Text("ledgerKey")));
        var node = new NodeVoice(new LedgerClient(new HttpClient { BaseAddress = new Uri(Text("ledger")) }, trust, new MemoryCheckpointStore(), TimeProvider.System)) { Domain = domain };
        using var once = SigningKey.FromSeed(Convert.FromBase64String(Text("seed")));
        var hardware = new Hardware("cpu", "x86_64", "6.1");
        var joined = await node.SayAsync(null, new JoinNode(Units.Id.Parse<FarmId>(Text("farm")), Units.Id.Parse<StatementId>(Text("invite")), node._key.Public, hardware), once);
        node.Id = new NodeId(joined.Statement.Id.Value);
        var has = new Capacity(new MilliCores(4000), Bytes.GiB(8), Bytes.GiB(50), default, 0);
        await node.SayAsync(node.Id.Value, new ReportNode(has, Capacity.None, ["address", "container", "gateway", "network", "vm", "volume"], hardware) { Domain = domain });
        return node;
    }

    public async Task<AgreementTerms> TermsAsync(AgreementId id) => (await VersionAsync(id)).Terms;

    public async Task ReadyAsync(AgreementId id) => await SayAsync(Id.Value, new WorkloadReady(id, (await VersionAsync(id)).Id, TunnelEnds.None));

    public async Task RefuseAsync(AgreementId id, string code, string detail) => await SayAsync(Id.Value, new WorkloadRefused(id, (await VersionAsync(id)).Id, code, detail));

    public async Task ReceiptAsync(AgreementId id, WorkloadState state, string? reason = null)
    {
        var version = await VersionAsync(id);
        var now = DateTimeOffset.FromUnixTimeSeconds(DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        await SayAsync(Id.Value, new Receipt(id, version.Id, now, now,
            [.. version.Terms.On(Id).Select(w => new WorkloadReport(w.Name, state, reason, 1, 0, new Consumption(5, 80, Bytes.Zero, Bytes.Zero, Bytes.Zero), null, false, null))]));
    }

    public void Dispose()
    {
        Opener.Dispose();
        _ledger.Dispose();
        _key.Dispose();
    }

    private async Task<Agreements.Version> VersionAsync(AgreementId id)
    {
        Assert.True((await _ledger.BundleAsync(id, receipts: true, TestContext.Current.CancellationToken)).Try(out var found, out var refusal), refusal?.ToString());
        return found.Verified.Agreement.Next?.Version ?? found.Verified.Agreement.Version;
    }

    private async Task<Recorded> SayAsync(Digest? by, Body body, params SigningKey[] more)
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        var statement = Statement.Sign(new Payload(_ledger.Trust.Origin, by, now, now.AddMinutes(5), body), [_key, .. more]);
        Assert.True((await _ledger.SubmitAsync(statement, TestContext.Current.CancellationToken)).Try(out var recorded, out var refusal), refusal?.ToString());
        return recorded!;
    }
}
