using Grid.Secrets;
using Grid.Statements;
using Grid.Units;
using NSec.Cryptography;
using PublicKey = Grid.Statements.PublicKey;

namespace Grid.Logs;

/// <summary>A piece of a log, as its node keeps it.</summary>
/// <param name="Text">whole lines in Kubernetes' CRI log format</param>
/// <param name="Next">what the next request is to begin <see cref="LogRequest.From"/></param>
/// <param name="More">there is more of it already</param>
/// <param name="Gap">lines before this piece are gone: the log was full and began anew</param>
public sealed record LogPiece(ReadOnlyMemory<byte> Text, ReadOnlyMemory<byte> Next, bool More, bool Gap);

/// <summary>
/// A node's answer to one request. The piece is sealed to the key that the request names, so that who carries it can neither read nor bend it; the node
/// signs the whole, so that nobody else can have made it.
/// <code>
/// answer = [ body: bstr, signature: bstr .size 64 ]                              ; Ed25519, by the node, over "grid log answer 1" ‖ 00 ‖ body
/// body   = { "key": bstr .size 32, "code": text, "detail": text, "sealed": bstr, "request": bstr .size 32 }      ; a no has a code and nothing sealed
/// sealed = ChaCha20-Poly1305(piece), key = HKDF-SHA256(X25519(key, to), salt = key ‖ to, info = "grid log 1"), nonce zero: it seals once,
///          associated data = request
/// piece  = { "gap": 0..1, "more": 0..1, "next": bstr .size (0..64), "text": bstr }
/// </code>
/// </summary>
public static class LogAnswer
{
    public const int MaximumText = 192 << 10, MaximumSize = MaximumText + 4096;

    private static ReadOnlySpan<byte> Context => "grid log answer 1\0"u8;

    /// <param name="secret">32 unpredictable bytes, used for nothing else and wiped by the caller</param>
    /// <returns>null when the key it is to be sealed to is none</returns>
    public static byte[]? Seal(SignedLogRequest request, LogPiece piece, ReadOnlySpan<byte> secret, SigningKey node)
    {
        using var ephemeral = Key.Import(KeyAgreementAlgorithm.X25519, secret, KeyBlobFormat.RawPrivateKey);
        var key = ephemeral.PublicKey.Export(KeyBlobFormat.RawPublicKey);
        using var sealer = Sealer(ephemeral, request.Request.To, key, request.Request.To);
        if (sealer is null)
            return null;
        var plain = CanonicalWriter.Encode(w => w.Map(4, m =>
        {
            m.Key("gap").UInt(piece.Gap ? 1 : 0);
            m.Key("more").UInt(piece.More ? 1 : 0);
            m.Key("next").ByteString(piece.Next.Span);
            m.Key("text").ByteString(piece.Text.Span);
        }), piece.Text.Length + 256);
        return Sign(request.Id, new Digest(key), "", "", KeyAgreement.Aead.Encrypt(sealer, KeyAgreement.Nonce, Raw(request.Id), plain), node);
    }

    public static byte[] Refuse(SignedLogRequest request, Refusal refusal, SigningKey node) =>
        Sign(request.Id, default, refusal.Code, refusal.Detail.Length <= 300 ? refusal.Detail : refusal.Detail[..300], [], node);

    /// <summary>True when the node signed this answer to this request; what is sealed in it stays so.</summary>
    public static bool IsBy(ReadOnlyMemory<byte> answer, Digest request, PublicKey node)
    {
        try
        {
            return Decode(answer, node).Request == request;
        }
        catch (StatementFormatException)
        {
            return false;
        }
    }

    /// <param name="secret">of the key that the request named</param>
    /// <returns>the piece, or the node's no</returns>
    /// <exception cref="StatementFormatException">it is not the node's answer to this request, or was bent</exception>
    public static (LogPiece? Piece, Refusal? Refusal) Open(ReadOnlyMemory<byte> answer, SignedLogRequest request, ReadOnlySpan<byte> secret, PublicKey node)
    {
        var body = Decode(answer, node);
        if (body.Request != request.Id)
            throw new StatementFormatException(RefusalCode.Inconsistent, "It answers another request.");
        if (body.Code.Length > 0)
            return (null, new Refusal(body.Code, body.Detail));
        using var mine = Key.Import(KeyAgreementAlgorithm.X25519, secret, KeyBlobFormat.RawPrivateKey);
        using var sealer = Sealer(mine, body.Key, Raw(body.Key), request.Request.To);
        var sealedPiece = body.Sealed.Span;
        var plain = new byte[int.Max(0, sealedPiece.Length - KeyAgreement.TagSize)];
        if (sealer is null || sealedPiece.Length < KeyAgreement.TagSize || !KeyAgreement.Aead.Decrypt(sealer, KeyAgreement.Nonce, Raw(request.Id), sealedPiece, plain))
            throw new StatementFormatException(RefusalCode.Malformed, "What is sealed in it does not open.");
        return (CanonicalReader.ReadAll<LogPiece>(plain, r => r.Map(m =>
        {
            var gap = m.Field("gap").UInt(1) == 1;
            var more = m.Field("more").UInt(1) == 1;
            var next = m.Field("next").ByteString(LogRequest.MaximumFrom);
            return new LogPiece(m.Field("text").ByteString(MaximumText), next, more, gap);
        })), null);
    }

    /// <summary>The public half of a request's key.</summary>
    public static Digest PublicOf(ReadOnlySpan<byte> secret)
    {
        using var key = Key.Import(KeyAgreementAlgorithm.X25519, secret, KeyBlobFormat.RawPrivateKey);
        return new Digest(key.PublicKey.Export(KeyBlobFormat.RawPublicKey));
    }

    private static Key? Sealer(Key own, Digest other, ReadOnlySpan<byte> ephemeral, Digest to) => KeyAgreement.SealerOf(own, Raw(other), ephemeral, Raw(to), "grid log 1"u8);

    private static byte[] Sign(Digest request, Digest key, string code, string detail, byte[] sealedPiece, SigningKey node)
    {
        var body = CanonicalWriter.Encode(w => w.Map(5, m =>
        {
            m.Key("key").Digest(key);
            m.Key("code").Text(code);
            m.Key("detail").Text(detail);
            m.Key("sealed").ByteString(sealedPiece);
            m.Key("request").Digest(request);
        }), sealedPiece.Length + 1024);
        var signature = node.Sign([.. Context, .. body]);
        return CanonicalWriter.Encode(w => w.ArrayOf(2, a =>
        {
            a.ByteString(body);
            a.ByteString(signature);
        }), body.Length + 128);
    }

    private static Body Decode(ReadOnlyMemory<byte> answer, PublicKey node)
    {
        if (answer.Length > MaximumSize)
            throw new StatementFormatException(RefusalCode.TooLarge, $"An answer has at most {MaximumSize} bytes.");
        var (body, signature) = CanonicalReader.ReadAll(answer, r =>
        {
            (ReadOnlyMemory<byte> Body, ReadOnlyMemory<byte> Signature) found = default;
            r.Tuple(2, t => found = (t.ByteStringInPlace(), t.ByteStringInPlace()));
            return found;
        });
        if (signature.Length != 64 || !node.Verify([.. Context, .. body.Span], signature.Span))
            throw new StatementFormatException(RefusalCode.BadSignature, "The node did not sign it.");
        return CanonicalReader.ReadAll(body, r => r.Map(m =>
        {
            var key = m.Field("key").Digest();
            var code = m.Field("code").Text(64);
            var detail = m.Field("detail").Text(1200);
            var sealedPiece = m.Field("sealed").ByteStringInPlace();
            return new Body(key, code, detail, sealedPiece, m.Field("request").Digest());
        }));
    }

    private static byte[] Raw(Digest digest)
    {
        var raw = new byte[Digest.Size];
        digest.CopyTo(raw);
        return raw;
    }

    private sealed record Body(Digest Key, string Code, string Detail, ReadOnlyMemory<byte> Sealed, Digest Request);
}
