using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Serialization.Metadata;
using Grid.Agreements;
using Grid.Client.Http;
using Grid.Log;
using Grid.Logs;
using Grid.Statements;
using Grid.Units;

namespace Grid.Client;

/// <summary>
/// Talks to one ledger and verifies before it believes: signature of the checkpoint by the pinned key, inclusion of the entry that is answered,
/// consistency with the last checkpoint seen. Safe on many threads.
/// </summary>
/// <remarks>Every call throws <see cref="LedgerUnreachableException"/> when nobody answers; everything else is in the <see cref="Answer{T}"/>.</remarks>
public sealed partial class LedgerClient : IDisposable
{
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    /// <summary>Bodies of views, proofs and problems.</summary>
    public const int MaximumBody = 4 << 20;

    /// <summary>Bodies of bundles, which hold whole statements.</summary>
    public const int MaximumBundle = 64 << 20;

    private const string Cbor = "application/cbor";

    private readonly HttpClient _http;
    private readonly LedgerTrust _trust;
    private readonly TimeProvider _time;
    private readonly SeenLog _seen;

    /// <param name="http">with the ledger's base address; disposed with this client</param>
    public LedgerClient(HttpClient http, LedgerTrust trust, ICheckpointStore seen, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(http.BaseAddress);
        (_http, _trust, _time) = (http, trust, time);
        _seen = new SeenLog(trust, seen, (from, to, cancellation) =>
            GetAsync($"v1/consistency?from={from}&to={to}", WireContext.Default.ConsistencyDocument, "a consistency proof", cancellation));
    }

    public LedgerTrust Trust => _trust;

    /// <summary>What a server says it is, before anything is pinned. Nothing of it is proven but by what follows.</summary>
    public static async Task<Answer<LedgerInfo>> DiscoverAsync(HttpClient http, TimeProvider time, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1/ledger");
        var reply = await Reply.SendAsync(http, request, MaximumBody, Timeout, time, cancellation).ConfigureAwait(false);
        if (reply.Document(WireContext.Default.LedgerDocument) is not { } info || !Id.TryParse<PublicKey>(info.Key, out var key) || !Payload.IsOrigin(info.Origin))
            return new Answer<LedgerInfo>.Disproved(reply.Malformed("a ledger's description"));
        return new LedgerInfo(info.Origin, key, info.Index, info.Version);
    }

    public async Task<Answer<LedgerInfo>> InfoAsync(CancellationToken cancellation)
    {
        var answer = await DiscoverAsync(_http, _time, cancellation).ConfigureAwait(false);
        return answer.Try(out var info, out _) && (info.Origin != _trust.Origin || info.Key != _trust.Key)
            ? new Answer<LedgerInfo>.Disproved(new Refusal(RefusalCode.WrongLedger, $"The server is the ledger '{info.Origin}' with {info.Key}; '{_trust.Origin}' with {_trust.Key} is trusted."))
            : answer;
    }

    /// <summary>Submits a statement. May be sent again after <see cref="LedgerUnreachableException"/>: the same statement is recorded once.</summary>
    public async Task<Answer<Recorded>> SubmitAsync(Statement statement, CancellationToken cancellation)
    {
        using var span = ClientTrace.Submit(statement);
        var answer = await RecordedAsync(() => Post("v1/statements", statement), statement.Id, cancellation).ConfigureAwait(false);
        // The id covers the payload only; whose signatures were recorded has to be looked at.
        if (answer.Try(out var recorded, out _) && !recorded.Known && statement.Signers.Except(recorded.Statement.Signers).Any())
            answer = new Answer<Recorded>.Disproved(new Refusal(RefusalCode.BadProof, $"Entry {recorded.Index} holds the statement without all of its signatures."));
        return answer.On(span);
    }

    public Task<Answer<Recorded>> StatementAsync(StatementId id, CancellationToken cancellation) =>
        RecordedAsync(() => new HttpRequestMessage(HttpMethod.Get, $"v1/statements/{id}"), id, cancellation);

    /// <summary>Lays down a half-signed payload where its other signers find it.</summary>
    public async Task<Answer<StatementId>> DraftAsync(Statement statement, CancellationToken cancellation)
    {
        using var request = Post("v1/drafts", statement);
        var reply = await SendAsync(request, MaximumBody, cancellation).ConfigureAwait(false);
        var answer = Read(reply, WireContext.Default.DraftedDocument, "a draft's id");
        return answer.Try(out var drafted, out _) && drafted.Id != statement.Id.ToString()
            ? new Answer<StatementId>.Disproved(reply.Malformed("this draft's id"))
            : answer.As(_ => statement.Id);
    }

    /// <summary>Half-signed payloads that wait for this account. Each has the id it claims and only true signatures; what they say is for the reader to judge.</summary>
    public async Task<Answer<ImmutableArray<Statement>>> DraftsAsync(AccountId account, CancellationToken cancellation)
    {
        var answer = await GetAsync($"v1/drafts?for={account}", WireContext.Default.DraftsDocument, "a list of drafts", cancellation).ConfigureAwait(false);
        if (!answer.Try(out var drafts, out _))
            return answer.As(_ => ImmutableArray<Statement>.Empty);
        var found = ImmutableArray.CreateBuilder<Statement>(drafts.Items.Length);
        foreach (var item in drafts.Items)
        {
            if (!TryDecode(item.Statement, out var statement, out var refusal) || (refusal = statement.VerifySignatures()) is not null)
                return new Answer<ImmutableArray<Statement>>.Disproved(refusal);
            if (statement.Id.ToString() != item.Id)
                return new Answer<ImmutableArray<Statement>>.Disproved(new Refusal(RefusalCode.BadProof, $"The draft {item.Id} is really {statement.Id}."));
            found.Add(statement);
        }
        return found.ToImmutable();
    }

    /// <summary>An agreement with everything that proves it, decided again here entry by entry. Its checkpoint is held against the last one seen.</summary>
    /// <param name="receipts">false: without those that changed nothing, which a long-lived agreement has the most of</param>
    public async Task<Answer<(Bundle Bundle, VerifiedAgreement Verified)>> BundleAsync(AgreementId id, bool receipts, CancellationToken cancellation)
    {
        using var span = ClientTrace.Begin("pull agreement", id);
        return (await ProvenAsync(id, receipts, cancellation).ConfigureAwait(false)).On(span);
    }

    /// <summary>Agreements of a node that changed after an index; waits up to <paramref name="wait"/> (at most 60 s) for one.</summary>
    /// <param name="asked">the number of the newest request for a log that is known, 0 for none; null to hear of no requests</param>
    public async Task<Answer<NodeNews>> NodeAgreementsAsync(NodeId node, long after, TimeSpan wait, CancellationToken cancellation, long? asked = null)
    {
        var seconds = (int)double.Clamp(wait.TotalSeconds, 0, 60);
        using var request = new HttpRequestMessage(HttpMethod.Get, $"v1/nodes/{node}/agreements?after={after}&wait={seconds}{(asked is { } number ? $"&asked={number}" : "")}");
        var reply = await Reply.SendAsync(_http, request, MaximumBody, Timeout + TimeSpan.FromSeconds(seconds), _time, cancellation).ConfigureAwait(false);
        var answer = Read(reply, WireContext.Default.NodeNewsDocument, "a node's agreements");
        if (!answer.Try(out var news, out _))
            return answer.As(_ => (NodeNews)null!);
        var items = ImmutableArray.CreateBuilder<(AgreementId, long, string)>(news.Items.Length);
        foreach (var item in news.Items)
        {
            if (!Id.TryParse<AgreementId>(item.Id, out var id))
                return new Answer<NodeNews>.Disproved(reply.Malformed("a node's agreements"));
            items.Add((id, item.Changed, item.Status));
        }
        return new NodeNews(news.Index, items.ToImmutable()) { Asked = news.Asked ?? asked ?? 0, Asks = [.. (news.Asks ?? []).Select(a => (ReadOnlyMemory<byte>)a)] };
    }

    /// <summary>Sends a signed request for a log to its node and waits for the answer, as it came: to be opened by who made the request.</summary>
    /// <param name="wait">how long the node may wait</param>
    public async Task<Answer<ReadOnlyMemory<byte>>> AskLogAsync(ReadOnlyMemory<byte> request, TimeSpan wait, CancellationToken cancellation)
    {
        using var message = Post("v1/logs", request, Cbor);
        var reply = await Reply.SendAsync(_http, message, LogAnswer.MaximumSize, Timeout + wait, _time, cancellation).ConfigureAwait(false);
        return reply.Status == HttpStatusCode.OK && reply is { MediaType: Cbor, TooLarge: false } ? reply.Body
            : reply.Status != HttpStatusCode.OK && reply.Refusal is { } refusal ? refusal
            : new Answer<ReadOnlyMemory<byte>>.Disproved(reply.Malformed("a node's answer"));
    }

    /// <summary>A node's answer to a request for a log.</summary>
    public async Task<Answer<bool>> AnswerLogAsync(Digest request, ReadOnlyMemory<byte> answer, CancellationToken cancellation)
    {
        using var message = Post($"v1/logs/{request}", answer, Cbor);
        var reply = await SendAsync(message, MaximumBody, cancellation).ConfigureAwait(false);
        return (int)reply.Status is >= 200 and <= 299 ? true : reply.Refusal is { } refusal ? refusal : new Answer<bool>.Disproved(reply.Malformed("whether the answer was taken"));
    }

    public void Dispose()
    {
        _seen.Dispose();
        _http.Dispose();
    }

    private async Task<Answer<(Bundle Bundle, VerifiedAgreement Verified)>> ProvenAsync(AgreementId id, bool receipts, CancellationToken cancellation)
    {
        var floor = await _seen.FloorAsync(cancellation).ConfigureAwait(false);
        if (!floor.Try(out var size, out var damaged))
            return new Answer<(Bundle, VerifiedAgreement)>.Disproved(damaged);
        using var request = new HttpRequestMessage(HttpMethod.Get, $"v1/agreements/{id}/bundle{(receipts ? "" : "?receipts=false")}");
        var reply = await SendAsync(request, MaximumBundle, cancellation).ConfigureAwait(false);
        if (reply.Status != HttpStatusCode.OK && reply.Refusal is { } no)
            return no;
        if (reply.TooLarge || reply.Status != HttpStatusCode.OK || reply.MediaType != "application/json")
            return new Answer<(Bundle, VerifiedAgreement)>.Disproved(reply.Malformed("a bundle"));
        if (!BundleJson.TryParse(reply.Body.Span, out var bundle, out var refusal) || (refusal = Verify(bundle, out var verified)) is not null)
            return new Answer<(Bundle, VerifiedAgreement)>.Disproved(refusal);
        if (bundle.Agreement != id)
            return new Answer<(Bundle, VerifiedAgreement)>.Disproved(new Refusal(RefusalCode.BadProof, $"The bundle is of {bundle.Agreement}, not of {id}."));
        var believed = await _seen.BelieveAsync(bundle.Checkpoint, size, cancellation).ConfigureAwait(false);
        return believed.As(_ => (bundle, verified!));
    }

    private Refusal? Verify(Bundle bundle, out VerifiedAgreement? verified)
    {
        using var span = ClientTrace.Begin("verify agreement", bundle.Agreement);
        var refusal = bundle.Verify(_trust.Origin, _trust.Key, out verified);
        span.Ended(refusal, failed: true);
        return refusal;
    }

    private static HttpRequestMessage Post(string path, Statement statement) => Post(path, statement.Bytes, "application/cose");

    private static HttpRequestMessage Post(string path, ReadOnlyMemory<byte> bytes, string type)
    {
        var content = new ReadOnlyMemoryContent(bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue(type);
        return new HttpRequestMessage(HttpMethod.Post, path) { Content = content };
    }

    private async Task<Answer<Recorded>> RecordedAsync(Func<HttpRequestMessage> ask, StatementId id, CancellationToken cancellation)
    {
        var floor = await _seen.FloorAsync(cancellation).ConfigureAwait(false);
        if (!floor.Try(out var size, out var damaged))
            return new Answer<Recorded>.Disproved(damaged);
        using var request = ask();
        var answer = Read(await SendAsync(request, MaximumBody, cancellation).ConfigureAwait(false), WireContext.Default.RecordedDocument, "a recorded statement");
        if (!answer.Try(out var document, out _))
            return answer.As(_ => (Recorded)null!);
        if (Prove(document, id, out var entry, out var statement) is { } refusal)
            return new Answer<Recorded>.Disproved(refusal);
        var believed = await _seen.BelieveAsync(document.Checkpoint, size, cancellation).ConfigureAwait(false);
        return believed.As(checkpoint => new Recorded(statement!, entry!.Index, entry.Time, document.Known, document.Events, checkpoint));
    }

    private Refusal? Prove(RecordedDocument document, StatementId id, out Entry? entry, out Statement? statement)
    {
        (entry, statement) = (null, null);
        try
        {
            entry = Entry.Decode(document.Entry);
            statement = Statement.Decode(entry.StatementBytes);
        }
        catch (StatementFormatException e)
        {
            return new Refusal(e.Code, $"The entry that was answered cannot be read: {e.Message}");
        }
        if (statement.Id != id || entry.Index != document.Index || entry.Time != document.Time)
            return new Refusal(RefusalCode.BadProof, $"The answer is entry {entry.Index} with {statement.Id}; {id} was asked for.");
        if (statement.VerifySignatures() is { } forged)
            return forged;
        if (!Checkpoint.TryVerify(document.Checkpoint, _trust.Origin, _trust.Key, out var checkpoint))
            return new Refusal(RefusalCode.BadCheckpoint, $"The checkpoint is not signed by {_trust.Key} for '{_trust.Origin}'.", "Check the ledger's address and the pinned key.");
        return Hex.TryPath(document.Path, out var path) && MerkleTree.VerifyInclusion(entry.LeafHash, entry.Index, checkpoint.Size, path, checkpoint.Root)
            ? null
            : new Refusal(RefusalCode.BadProof, $"Entry {entry.Index} is not proven to be in the log of {checkpoint.Size} entries.");
    }

    private static bool TryDecode(byte[] bytes, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Statement? statement, [System.Diagnostics.CodeAnalysis.NotNullWhen(false)] out Refusal? refusal)
    {
        (statement, refusal) = (null, null);
        try
        {
            statement = Statement.Decode(bytes);
            return true;
        }
        catch (StatementFormatException e)
        {
            refusal = e.ToRefusal();
            return false;
        }
    }

    private Task<Reply> SendAsync(HttpRequestMessage request, int limit, CancellationToken cancellation) =>
        Reply.SendAsync(_http, request, limit, Timeout, _time, cancellation);

    private async Task<Answer<T>> GetAsync<T>(string path, JsonTypeInfo<T> type, string wanted, CancellationToken cancellation) where T : class
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        return Read(await SendAsync(request, MaximumBody, cancellation).ConfigureAwait(false), type, wanted);
    }

    private static Answer<T> Read<T>(Reply reply, JsonTypeInfo<T> type, string wanted) where T : class
    {
        if ((int)reply.Status is < 200 or > 299)
            return reply.Refusal is { } refusal ? refusal : new Answer<T>.Disproved(reply.Malformed(wanted));
        return reply.Document(type) is { } document ? document : new Answer<T>.Disproved(reply.Malformed(wanted));
    }
}
