using System.Net;
using System.Net.Http.Headers;
using Grid.Client;
using Grid.Statements;

namespace Grid.Node.Tests.Agent;

/// <summary>Hears what a node says, reads it as strictly as a ledger does, and says that it knows that already, or what else it is told to.</summary>
internal sealed class HearingLedger : IDisposable
{
    private readonly SigningKey _key = SigningKey.FromSeed(new byte[32]);

    public HearingLedger(string origin) => Client = new LedgerClient(
        new HttpClient(new Ear(this)) { BaseAddress = new Uri("http://ledger.invalid") }, new LedgerTrust(origin, _key.Public), new MemoryCheckpointStore(), TimeProvider.System);

    public LedgerClient Client { get; }

    public Body? Last { get; set; }

    /// <summary>With which code it refuses what it hears next.</summary>
    public string Code { get; set; } = RefusalCode.AlreadySo;

    public List<Body> Heard { get; } = [];

    public void Dispose()
    {
        Client.Dispose();
        _key.Dispose();
    }

    private sealed class Ear(HearingLedger ledger) : HttpMessageHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            ledger.Last = Statement.Decode(await request.Content!.ReadAsByteArrayAsync(cancellationToken)).Payload.Body;
            ledger.Heard.Add(ledger.Last);
            var problem = new StringContent($$"""{"code":"{{ledger.Code}}"}""");
            problem.Headers.ContentType = new MediaTypeHeaderValue("application/problem+json");
            return new HttpResponseMessage(HttpStatusCode.Conflict) { Content = problem };
        }
    }
}
