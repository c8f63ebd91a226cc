using System.Collections.Immutable;
using Grid.Statements;
using Grid.Units;
using Grid.World;

namespace Grid.Logs;

/// <summary>
/// A user asks a node for what a workload wrote. It changes nothing and is never recorded, so it is no statement: it travels through whoever will carry
/// it, and the node looks at the signatures itself.
/// <code>
/// signed  = [ request: bstr, [ 1*64 [ key: bstr .size 32, signature: bstr .size 64 ] ] ]        ; sorted by key; Ed25519 over "grid log request 1" ‖ 00 ‖ request
/// request = { "to": bstr .size 32, "from": bstr .size (0..64), "node": node-id, "tail": uint / null, "wait": 0..20, "since": time / null,
///             "until": time, "ledger": text, "workload": text, "agreement": agreement-id }
/// </code>
/// </summary>
/// <param name="To">X25519, of this request alone: to whom the answer is sealed</param>
/// <param name="From">where the answer before this one ended, as its node wrote it; empty to begin</param>
/// <param name="Tail">begin with so many of the last lines; null for all that are kept</param>
/// <param name="Wait">how long the node may wait for a line when there is none, whole seconds</param>
/// <param name="Since">begin with what was written then or later</param>
/// <param name="Until">after it no node answers; at most <see cref="LongestLife"/> away</param>
public sealed record LogRequest(
    string Ledger, AgreementId Agreement, NodeId Node, string Workload, Digest To, ReadOnlyMemory<byte> From, long? Tail, DateTimeOffset? Since, TimeSpan Wait, DateTimeOffset Until)
{
    public const int MaximumSize = 12_000, MaximumSigners = 64, MaximumFrom = 64, LongestWait = 20;

    /// <summary>As long as clocks may differ and a wait may last; a request that was seen is remembered for so long.</summary>
    public static readonly TimeSpan LongestLife = TimeSpan.FromMinutes(5);

    private static ReadOnlySpan<byte> Context => "grid log request 1\0"u8;

    /// <summary>The bytes that travel.</summary>
    public byte[] Sign(params IEnumerable<SigningKey> keys)
    {
        var request = CanonicalWriter.Encode(Write);
        var signatures = keys.Select(k => (k.Public, Value: k.Sign([.. Context, .. request]))).OrderBy(s => s.Public).ToList();
        return CanonicalWriter.Encode(w => w.ArrayOf(2, a =>
        {
            a.ByteString(request);
            a.Array(signatures, (s, signature) => s.ArrayOf(2, x =>
            {
                x.PublicKey(signature.Public);
                x.ByteString(signature.Value);
            }));
        }));
    }

    /// <summary>Reads what arrived; every signature in it verifies.</summary>
    /// <exception cref="StatementFormatException">its form is wrong, or a signature is</exception>
    public static SignedLogRequest Decode(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Length > MaximumSize)
            throw new StatementFormatException(RefusalCode.TooLarge, $"A request for a log has at most {MaximumSize} bytes.");
        var (request, signatures) = CanonicalReader.ReadAll(bytes, r =>
        {
            ReadOnlyMemory<byte> body = default;
            ImmutableArray<Signature> signers = [];
            r.Tuple(2, t =>
            {
                body = t.ByteStringInPlace();
                signers = t.Set(MaximumSigners, ReadSignature, (a, b) => a.Key.CompareTo(b.Key));
            });
            return (body, signers);
        });
        byte[] signed = [.. Context, .. request.Span];
        if (signatures.FirstOrDefault(s => !s.Key.Verify(signed, s.Value.Span)) is { } forged)
            throw new StatementFormatException(RefusalCode.BadSignature, $"The signature of {forged.Key} does not fit the request.");
        return new SignedLogRequest(Digest.Of(bytes.Span), CanonicalReader.ReadAll(request, Read), [.. signatures.Select(s => s.Key)]);
    }

    private void Write(CanonicalWriter w) => w.Map(10, m =>
    {
        m.Key("to").Digest(To);
        m.Key("from").ByteString(From.Span);
        m.Key("node").Id(Node);
        m.Key("tail");
        if (Tail is { } tail)
            m.UInt(tail);
        else
            m.Null();
        m.Key("wait").Seconds(Wait);
        m.Key("since");
        if (Since is { } since)
            m.Time(since);
        else
            m.Null();
        m.Key("until").Time(Until);
        m.Key("ledger").Text(Ledger);
        m.Key("workload").Text(Workload);
        m.Key("agreement").Id(Agreement);
    });

    private static LogRequest Read(CanonicalReader r) => r.Map(m =>
    {
        var to = m.Field("to").Digest();
        var from = m.Field("from").ByteString(MaximumFrom);
        var node = m.Field("node").Id<NodeId>();
        long? tail = m.Field("tail").TryNull() ? null : m.UInt();
        var wait = TimeSpan.FromSeconds(m.Field("wait").UInt(LongestWait));
        DateTimeOffset? since = m.Field("since").TryNull() ? null : m.Time();
        var until = m.Field("until").Time();
        var ledger = m.Field("ledger").Text(255);
        var workload = m.Field("workload").Text(64);
        return new LogRequest(ledger, m.Field("agreement").Id<AgreementId>(), node, workload, to, from, tail, since, wait, until);
    });

    private static Signature ReadSignature(CanonicalReader r)
    {
        Signature? signature = null;
        r.Tuple(2, t =>
        {
            var key = t.Key();
            var value = t.ByteStringInPlace();
            signature = value.Length == 64 ? new Signature(key, value) : throw CanonicalReader.Malformed($"An Ed25519 signature has 64 bytes, not {value.Length}.");
        });
        return signature!;
    }
}

/// <param name="Id">the hash of its bytes: what the answer names</param>
/// <param name="Signers">whose signatures verify; none is possible</param>
public sealed record SignedLogRequest(Digest Id, LogRequest Request, ImmutableArray<PublicKey> Signers)
{
    /// <summary>Whether this log may be told to whoever asks: only to the agreement's user, by as many keys as the account needs for anything else.</summary>
    /// <param name="state">a ledger's, or what an agreement's own proof shows of it</param>
    public Refusal? Check(GridState state, DateTimeOffset now)
    {
        if (Request.Ledger != state.Origin)
            return new Refusal(RefusalCode.WrongLedger, $"The request is for the ledger '{Request.Ledger}'; this is '{state.Origin}'.");
        if (Request.Until <= now || Request.Until > now + LogRequest.LongestLife)
            return new Refusal(RefusalCode.Expired, $"The request holds until {Request.Until.Text()}, which is over or further away than {LogRequest.LongestLife.TotalMinutes} minutes; it is {now.Text()}.", "Compare this machine's clock with the node's.");
        if (!state.Agreements.TryGetValue(Request.Agreement, out var agreement))
            return new Refusal(RefusalCode.NotFound, $"The agreement {Request.Agreement} is not in this ledger.");
        // Who may not read it does not learn what is in it either.
        if (!state.Accounts.TryGetValue(agreement.User, out var user) || Signers.Any(k => !user.Policy.Keys.Contains(k)))
            return new Refusal(RefusalCode.StrangerSigned, $"Only {agreement.User}, whose agreement it is, can read its logs.");
        if (!user.Policy.IsSatisfiedBy(Signers))
            return new Refusal(RefusalCode.SignatureMissing, $"{user.Policy.Threshold} keys of {agreement.User} must sign to read a log.");
        return agreement.Version.Terms.On(Request.Node).Any(w => w.Name == Request.Workload)
            ? null
            : new Refusal(RefusalCode.NotFound, $"{Request.Agreement} has no workload '{Request.Workload}' on {Request.Node}.");
    }
}
