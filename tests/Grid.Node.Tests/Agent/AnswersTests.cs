using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Flists.Admission;
using Grid.Flists.Hub;
using Grid.Node.Agent;
using Grid.Node.Gateways;
using Grid.Node.Secrets;
using Grid.Statements;
using Grid.Units;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

/// <summary>The node looks itself: what a ledger let through against its rules is answered with the code that the ledger should have given.</summary>
public sealed class AnswersTests : IDisposable
{
    private const string Origin = "grid.test/main";

    private static readonly string[] Kinds = ["address", "container", "gateway", "network", "vm", "volume"];
    private static readonly Capacity Boundless = new(new MilliCores(1 << 30), Bytes.GiB(1 << 20), Bytes.GiB(1 << 20), Bytes.GiB(1 << 20), 1 << 20);

    private readonly SigningKey _key = SigningKey.FromSeed(new byte[32]);
    private readonly HearingLedger _heard = new(Origin);
    // Nobody listens there: what comes as far as its files is not answered.
    private readonly HubClient _hubs = new(["http://127.0.0.1:1"]);

    public void Dispose()
    {
        _heard.Dispose();
        _hubs.Dispose();
        _key.Dispose();
    }

    [Fact]
    public async Task Every_case_of_the_vectors_is_refused_with_its_code()
    {
        foreach (var path in new[] { "terms", "domain", "amendment" }.SelectMany(rules => Directory.GetFiles(Refusals(), $"{rules}-*.json")))
        {
            _heard.Last = null;
            var vector = JsonNode.Parse(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken))!;
            AgreementTerms Read(string member) => (AgreementTerms)Payload.Decode(Convert.FromHexString(vector[member]!.GetValue<string>())).Body;
            var terms = Read("payload");
            var node = terms.Nodes.First();
            var voice = new NodeVoice(_key, node, Origin, TimeProvider.System);
            var answers = new Answers(_heard.Client, new DescribedFiles(_hubs), [.. Kinds], new NodeSecrets(null, new SecretPlaces("/nonexistent"), inMemory: true), null, null, new DomainProofs(vector["domain"]?.GetValue<string>(), null), voice, Boundless, TimeProvider.System, NullLogger.Instance);
            var id = Digest.Of(Encoding.UTF8.GetBytes(path));
            var version = new Agreements.Version(new StatementId(id), terms);
            await answers.AnswerAsync([terms.Amends is { } amends ? Amended(amends, Read("before"), version) : new Agreement.Agreed(new AgreementId(id), version, [])], Answers.LongestTurn, TestContext.Current.CancellationToken);
            Assert.Equal((path, vector["code"]!.GetValue<string>()), (path, (_heard.Last as WorkloadRefused)?.Code));
        }
    }

    private static Agreement.Running Amended(Amends amends, AgreementTerms before, Agreements.Version version) =>
        new(amends.Agreement, new Agreements.Version(amends.Digest, before), DateTimeOffset.UnixEpoch, new Amendment.Agreed(version, []), []);

    private static string Refusals([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "vectors", "refusals");
}
