using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Client;
using Grid.Node.Agent;
using Grid.Statements;
using Grid.Tests.Workloads;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

public sealed class FeedTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grid-feed-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>A proof may be newer than the page that named it: what has ended meanwhile is held to run yet, and would be in its way.</summary>
    [Fact]
    public async Task An_agreement_is_ahead_until_a_pull_says_as_much_of_the_others()
    {
        using var recorded = RecordedGrid.Read();
        var bundle = recorded.Forced(recorded.Accepted);
        var agreed = bundle.Entries[^1].Index;
        var news = new News();
        using var ledger = new LedgerClient(new HttpClient(news) { BaseAddress = new Uri("http://ledger.invalid") }, new LedgerTrust(recorded.Origin, recorded.Key.Public), new MemoryCheckpointStore(), TimeProvider.System);
        var store = new AgreementStore(_directory, NullLogger.Instance);
        store.Keep(bundle);
        var feed = new AgreementFeed(ledger, new LedgerContact(Path.Combine(_directory, "contact"), TimeProvider.System), store, ((AgreementTerms)recorded.Accepted.Payload.Body).Nodes.Single(), TimeProvider.System, NullLogger.Instance);
        feed.Restore();
        Assert.Equal([bundle.Agreement], feed.Agreements.Select(a => a.Id));
        Assert.True(feed.IsAhead(bundle.Agreement));
        foreach (var (index, ahead) in new[] { (agreed - 1, true), (agreed, false) })
        {
            news.Index = index;
            await feed.PullAsync(TimeSpan.Zero, TestContext.Current.CancellationToken);
            Assert.Equal((null, ahead), (feed.Trouble, feed.IsAhead(bundle.Agreement)));
        }
    }

    /// <summary>Says that nothing happened up to an entry.</summary>
    private sealed class News : HttpMessageHandler
    {
        public long Index { get; set; }

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var page = new StringContent(new JsonObject { ["index"] = Index, ["items"] = new JsonArray() }.ToJsonString());
            page.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            return Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK) { Content = page });
        }
    }
}
