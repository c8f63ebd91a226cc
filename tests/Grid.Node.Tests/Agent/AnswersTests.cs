using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
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
using Grid.Tests.Workloads;
using Grid.Units;
using Grid.Workloads;
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
            await answers.AnswerAsync([terms.Amends is { } amends ? Amended(amends, Read("before"), version) : new Agreement.Agreed(new AgreementId(id), version, [])], _ => false, Answers.LongestTurn, TestContext.Current.CancellationToken);
            Assert.Equal((path, vector["code"]!.GetValue<string>()), (path, (_heard.Last as WorkloadRefused)?.Code));
        }
    }

    [Fact]
    public async Task Every_case_for_what_is_recorded_is_refused_with_its_code()
    {
        using var recorded = RecordedGrid.Read();
        foreach (var path in Directory.GetFiles(Refusals(), "standing-*.json").Order(StringComparer.Ordinal))
        {
            var vector = JsonNode.Parse(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken))!;
            var (name, code) = (vector["name"]!.GetValue<string>(), vector["code"]!.GetValue<string>());
            if (vector["unasked"]?["node"] is not null)
                continue;
            var (broken, verified) = Handed(recorded, vector["statement"]!.GetValue<string>());
            // A proof leaves out what others hold, and what is written elsewhere: that the node finds out itself.
            var itself = name != "standing-capacity-amendment" && (code is RefusalCode.NameTaken or RefusalCode.AddressConflict or RefusalCode.Capacity || name == "standing-name-unwritten");
            Assert.Equal((name, itself ? null : code), (name, broken));
            if (itself)
                Assert.Equal((name, code), (name, await AnsweredAsync(recorded, verified!, recorded.State.Agreements.Values)));
        }
    }

    [Theory]
    [InlineData("standing-name-held")]
    [InlineData("standing-address-held")]
    [InlineData("standing-capacity-ssd")]
    public async Task Who_comes_after_what_has_ended_is_not_in_its_way(string name)
    {
        using var recorded = RecordedGrid.Read();
        var vector = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Refusals(), $"{name}.json"), TestContext.Current.CancellationToken))!;
        var ended = recorded.State.Agreements.Values.Select(a => new Agreement.Ended(a.Id, a.Version, new EndReason.User(), recorded.Now, []));
        Assert.NotEqual(vector["code"]!.GetValue<string>(), await AnsweredAsync(recorded, Handed(recorded, vector["statement"]!.GetValue<string>()).Verified!, ended));
    }

    [Fact]
    public async Task What_was_agreed_after_what_is_known_of_the_others_waits_until_they_are_known()
    {
        using var recorded = RecordedGrid.Read();
        var vector = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Refusals(), "standing-name-held.json"), TestContext.Current.CancellationToken))!;
        var asked = Handed(recorded, vector["statement"]!.GetValue<string>()).Verified!;
        Assert.Null(await AnsweredAsync(recorded, asked, recorded.State.Agreements.Values, ahead: true));
        Assert.Equal(RefusalCode.NameTaken, await AnsweredAsync(recorded, asked, recorded.State.Agreements.Values));
    }

    [Fact]
    public async Task An_amendment_is_not_in_its_own_way()
    {
        using var recorded = RecordedGrid.Read();
        var running = Assert.IsType<Agreement.Running>(Assert.Single(recorded.State.Agreements.Values));
        var next = running.Version.Terms with { Version = 2, Amends = new Amends(running.Id, running.Version.Id), Note = "the same once more" };
        var amended = running with { Amendment = new Amendment.Agreed(new Agreements.Version(new StatementId(Digest.Of("next"u8)), next), []) };
        Assert.Null(await AnsweredAsync(recorded, amended, [amended]));
        var more = next with { Workloads = [.. next.Workloads.Select(w => w is Volume { Media: Media.Ssd } v ? v with { Size = Bytes.GiB(101) } : w)] };
        amended = running with { Amendment = new Amendment.Agreed(new Agreements.Version(new StatementId(Digest.Of("more"u8)), more), []) };
        Assert.Equal(RefusalCode.Capacity, await AnsweredAsync(recorded, amended, [amended]));
    }

    // By a ledger that recorded it against its rules, with a proof that leaves out what speaks against it.
    private static (string? Broken, Agreement? Verified) Handed(RecordedGrid recorded, string statement)
    {
        var broken = recorded.Forced(Statement.Decode(Convert.FromHexString(statement))).Verify(recorded.Origin, recorded.Key.Public, out var verified);
        return (broken?.Code, verified?.Agreement);
    }

    /// <returns>the code of the refusal; null when nothing was found but its files, which nobody here has</returns>
    private async Task<string?> AnsweredAsync(RecordedGrid recorded, Agreement asked, IEnumerable<Agreement> known, bool ahead = false)
    {
        _heard.Last = null;
        using var names = NoName.Listen();
        var node = recorded.State.Nodes[(asked.Next?.Version ?? asked.Version).Terms.Nodes.Single()];
        var answers = new Answers(_heard.Client, new DescribedFiles(_hubs), node.Report!.Kinds, new NodeSecrets(null, new SecretPlaces("/nonexistent"), inMemory: true), null, null,
            new DomainProofs(node.Report.Domain, new TxtLookup(names.Address)), new NodeVoice(_key, node.Id, Origin, TimeProvider.System), node.Offered, TimeProvider.System, NullLogger.Instance);
        await answers.AnswerAsync([.. known.Where(a => a.Id != asked.Id && a.Version.Terms.Nodes.Contains(node.Id)), asked], id => ahead && id == asked.Id, Answers.LongestTurn, TestContext.Current.CancellationToken);
        Assert.IsNotType<WorkloadReady>(_heard.Last);
        Assert.Equal(_heard.Last is null, answers.Waiting);
        return (_heard.Last as WorkloadRefused)?.Code;
    }

    /// <summary>A name server that knows of nothing.</summary>
    private sealed class NoName : IDisposable
    {
        private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);

        public IPEndPoint Address => (IPEndPoint)_socket.LocalEndPoint!;

        public static NoName Listen()
        {
            var server = new NoName();
            server._socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            _ = server.AnswerAsync();
            return server;
        }

        public void Dispose() => _socket.Dispose();

        // The question back as an answer, without the 11 bytes that ask for EDNS.
        private async Task AnswerAsync()
        {
            var buffer = new byte[1500];
            try
            {
                while (true)
                {
                    var got = await _socket.ReceiveFromAsync(buffer, SocketFlags.None, new IPEndPoint(IPAddress.Any, 0));
                    var answer = buffer[..(got.ReceivedBytes - 11)];
                    answer[2] |= 0x80;
                    (answer[10], answer[11]) = (0, 0);
                    await _socket.SendToAsync(answer, SocketFlags.None, got.RemoteEndPoint);
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The test is over.
            }
        }
    }

    private static Agreement.Running Amended(Amends amends, AgreementTerms before, Agreements.Version version) =>
        new(amends.Agreement, new Agreements.Version(amends.Digest, before), DateTimeOffset.UnixEpoch, new Amendment.Agreed(version, []), []);

    private static string Refusals([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "vectors", "refusals");
}
