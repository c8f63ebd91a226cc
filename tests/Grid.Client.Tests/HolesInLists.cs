using Grid.Tests.World;
using Grid.Units;
using Microsoft.AspNetCore.Http;

namespace Grid.Client.Tests;

/// <summary>A list with nothing in one of its places, or a text that is none: such an answer is malformed, and whoever asked goes on.</summary>
public sealed class HolesInLists
{
    private static readonly AgreementId Agreement = new(Digest.Of("agreement"u8));

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<string, string> Answers => new()
    {
        { "news", """{"index":1,"items":[null]}""" },
        { "news", """{"index":1,"items":[],"asks":[null]}""" },
        { "drafts", """{"index":1,"items":[null]}""" },
        { "bundle", $$"""{"version":1,"origin":"{{TestGrid.Origin}}","agreement":"{{Agreement}}","checkpoint":"","entries":[null]}""" },
        { "bundle", $$"""{"version":1,"origin":"{{TestGrid.Origin}}","agreement":"{{Agreement}}","checkpoint":"","entries":[{"index":0,"entry":"","path":[null]}]}""" },
        { "statement", """{"id":"","index":0,"time":"2026-01-01T00:00:00Z","known":true,"entry":"","size":1,"path":[null],"checkpoint":"","events":[]}""" },
        { "statement", """{"id":"","index":0,"time":"2026-01-01T00:00:00Z","known":true,"entry":"","size":1,"path":[],"checkpoint":"","events":[null]}""" },
        { "proof", """{"index":0,"size":1,"path":[null]}""" },
        { "list", """{"index":1,"items":[null]}""" },
        { "list", """{"index":1,"items":[{"nodes":[null]}]}""" },
        { "list", """{"index":1,"items":[],"next":"\ud800"}""" },
        { "list", """{"index":1,"items":[{"\ud800":1}]}""" },
    };

    [Theory]
    [MemberData(nameof(Answers))]
    public async Task An_answer_with_one_is_malformed(string what, string body)
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        server.Instead = async context =>
        {
            context.Response.ContentType = "application/json";
            await context.Response.WriteAsync(body);
        };
        using var client = server.Client();

        Assert.Equal(RefusalCode.Malformed, what switch
        {
            "news" => Code(await client.NodeAgreementsAsync(server.Grid.Farms[0].Nodes[0].Id, 0, TimeSpan.Zero, Stop)),
            "drafts" => Code(await client.DraftsAsync(server.Grid.User, Stop)),
            "bundle" => Code(await client.BundleAsync(Agreement, receipts: true, Stop)),
            "statement" => Code(await client.StatementAsync(server.Grid.Entries[1].Statement.Id, Stop)),
            "proof" => Code(await client.InclusionAsync(0, 1, Stop)),
            _ => Code(await client.FarmsAsync(null, Stop)),
        });
    }

    private static string Code<T>(Answer<T> answer)
    {
        Assert.False(answer.Try(out _, out _));
        return Assert.IsType<Answer<T>.Disproved>(answer).Refusal.Code;
    }
}
