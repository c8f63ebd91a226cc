using Grid.Tests.World;
using Grid.Units;

namespace Grid.Client.Tests;

/// <summary>A ledger that lies with its own key: what it recorded is in its log, and nobody who was named has signed it.</summary>
public sealed class Forgeries
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<string> All => [.. Forgery.All.Select(f => f.Name)];

    [Theory]
    [MemberData(nameof(All))]
    public async Task A_forged_statement_is_disproved_although_it_is_in_the_log(string name)
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var (index, forgery) = Forge(server.Grid, name);
        using var client = server.Client();

        var answer = await client.StatementAsync(server.Grid.Entries[index].Statement.Id, Stop);

        if (forgery.Code == RefusalCode.SignatureMissing)
        {
            // Who must sign follows from the log before it, which one statement does not show; who did sign is said.
            Assert.DoesNotContain(server.Grid.Key("user-a").Public, HonestAnswers.Given(answer).Statement.Signers);
            return;
        }
        // It was asked for by the hash of what was signed, which other bytes do not have.
        Assert.Equal(name == Forgery.OfWhatWasSigned ? RefusalCode.BadProof : forgery.Code, Assert.IsType<Answer<Recorded>.Disproved>(answer).Refusal.Code);
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task A_bundle_with_a_forged_statement_is_disproved(string name)
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var (index, forgery) = Forge(server.Grid, name);
        using var client = server.Client();

        var answer = await client.BundleAsync(new AgreementId(server.Grid.Entries[index].Statement.Id.Value), receipts: true, Stop);

        Assert.Equal(forgery.Code, Assert.IsType<Answer<(Agreements.Bundle, Agreements.VerifiedAgreement)>.Disproved>(answer).Refusal.Code);
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task An_audit_names_the_forged_entry(string name)
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var (index, forgery) = Forge(server.Grid, name);
        using var client = server.Client();

        var report = HonestAnswers.Given(await LogAudit.RunAsync(client, null, null, Stop));

        Assert.Equal((forgery.Code, index), (report.Problem?.Code, report.Checked));
        Assert.StartsWith($"Entry {index}: ", report.Problem!.Detail, StringComparison.Ordinal);
    }

    private static (int Index, Forgery Forgery) Forge(TestGrid grid, string name)
    {
        var forgery = Forgery.All.Single(f => f.Name == name);
        var agreement = grid.Run(grid.Terms(grid.Farms[0].Nodes[0].Id));
        var index = grid.Entries.FindIndex(e => e.Statement.Id.Value == agreement.Id.Value);
        grid.Forge(index, forgery.Make(grid.Entries[index].Statement, grid.Key("user-a").Public, grid.Key("alpha").Public, new Random(9)));
        return (index, forgery);
    }
}
