using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Grid.Node.Gateways.Acme;

/// <summary>The certificate authority says no, or what cannot be understood.</summary>
internal sealed class AcmeException(string message) : Exception(message);

/// <summary>
/// As much of ACME (RFC 8555) as one name proven by HTTP needs. Requests are signed with ES256 by the account's key (§6.2); a nonce that is refused is
/// replaced by the one that came with the refusal (§6.5). An answer is at most 1 MiB.
/// </summary>
internal sealed class AcmeClient(HttpClient http, Uri directory, ECDsa key, TimeProvider time) : IDisposable
{
    public const int LargestAnswer = 1 << 20;

    private const int NonceTries = 5, Polls = 60;
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500), LongestWait = TimeSpan.FromSeconds(10);

    // Several orders may be under way: they share the account, and each nonce is one request's.
    private readonly ConcurrentBag<string> _nonces = [];
    private readonly SemaphoreSlim _opening = new(1);
    private readonly Lock _signing = new();
    private JsonElement? _directory;
    private string? _account;

    /// <summary>What is answered to a challenge: the token and who asked for it (§8.1).</summary>
    public string KeyAuthorization(string token) => $"{token}.{Base64Url(SHA256.HashData(Encoding.UTF8.GetBytes(Jwk())))}";

    /// <summary>Orders a certificate.</summary>
    /// <param name="answer">called with the token and what is to be answered to it, before the authority asks</param>
    /// <returns>the chain in PEM, the certificate first</returns>
    /// <exception cref="AcmeException"/>
    /// <exception cref="HttpRequestException"/>
    public async Task<string> OrderAsync(string hostname, byte[] signingRequest, Action<string, string> answer, CancellationToken cancel)
    {
        await OpenAccountAsync(cancel);
        var (order, at) = await PostAsync(await EndpointAsync("newOrder", cancel), Json(w =>
        {
            w.WriteStartArray("identifiers");
            w.WriteStartObject();
            w.WriteString("type", "dns");
            w.WriteString("value", hostname);
            w.WriteEndObject();
            w.WriteEndArray();
        }), cancel);
        foreach (var authorization in order.GetProperty("authorizations").EnumerateArray().Select(a => a.GetString()!).ToList())
            await ProveAsync(authorization, answer, cancel);
        await PostAsync(order.GetProperty("finalize").GetString()!, Json(w => w.WriteString("csr", Base64Url(signingRequest))), cancel);
        order = await UntilAsync(at ?? throw new AcmeException("An order without a place."), "valid", cancel);
        using var chain = await SendAsync(order.GetProperty("certificate").GetString()!, [], cancel);
        return await chain.Content.ReadAsStringAsync(cancel);
    }

    public void Dispose() => _opening.Dispose();

    private async Task ProveAsync(string url, Action<string, string> answer, CancellationToken cancel)
    {
        var (authorization, _) = await PostAsync(url, [], cancel);
        if (Status(authorization) == "valid")
            return;
        var challenge = authorization.GetProperty("challenges").EnumerateArray().FirstOrDefault(c => c.GetProperty("type").GetString() == "http-01");
        if (challenge.ValueKind is not JsonValueKind.Object || challenge.GetProperty("token").GetString() is not { Length: > 0 and < 256 } token)
            throw new AcmeException("The authority offers no http-01 challenge.");
        answer(token, KeyAuthorization(token));
        await PostAsync(challenge.GetProperty("url").GetString()!, "{}"u8.ToArray(), cancel);
        await UntilAsync(url, "valid", cancel);
    }

    private async Task<JsonElement> UntilAsync(string url, string wanted, CancellationToken cancel)
    {
        for (var i = 0; i < Polls; i++)
        {
            using var response = await SendAsync(url, [], cancel);
            var state = await ReadAsync(response, cancel);
            if (Status(state) == wanted)
                return state;
            if (Status(state) is "invalid" or "revoked" or "expired" or "deactivated")
                throw new AcmeException(Why(state));
            var wait = response.Headers.RetryAfter?.Delta is { } asked && asked > Poll ? asked : Poll;
            await Task.Delay(wait < LongestWait ? wait : LongestWait, time, cancel);
        }
        throw new AcmeException($"{url} does not become {wanted}.");
    }

    private async Task OpenAccountAsync(CancellationToken cancel)
    {
        await _opening.WaitAsync(cancel);
        try
        {
            if (_account is not null)
                return;
            // The same key gets the same account: nothing but the key is kept.
            var (_, at) = await PostAsync(await EndpointAsync("newAccount", cancel), Json(w => w.WriteBoolean("termsOfServiceAgreed", true)), cancel);
            _account = at ?? throw new AcmeException("An account without a place.");
        }
        finally
        {
            _opening.Release();
        }
    }

    private async Task<string> EndpointAsync(string name, CancellationToken cancel)
    {
        if (_directory is null)
        {
            using var response = await http.GetAsync(directory, cancel);
            _directory = await ReadAsync(response.EnsureSuccessStatusCode(), cancel);
        }
        return _directory.Value.TryGetProperty(name, out var url) && url.GetString() is { } found ? found : throw new AcmeException($"The directory has no {name}.");
    }

    private async Task<(JsonElement Body, string? Location)> PostAsync(string url, byte[] payload, CancellationToken cancel)
    {
        using var response = await SendAsync(url, payload, cancel);
        return (await ReadAsync(response, cancel), response.Headers.Location?.ToString());
    }

    /// <param name="payload">none: POST-as-GET (§6.3)</param>
    private async Task<HttpResponseMessage> SendAsync(string url, byte[] payload, CancellationToken cancel)
    {
        for (var i = 0; ; i++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new ByteArrayContent(Sign(url, payload, _nonces.TryTake(out var nonce) ? nonce : await NonceAsync(cancel))) };
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/jose+json");
            var response = await http.SendAsync(request, cancel);
            if (response.Headers.TryGetValues("Replay-Nonce", out var fresh))
                _nonces.Add(fresh.First());
            if (response.IsSuccessStatusCode)
                return response;
            using (response)
            {
                var problem = await ReadAsync(response, cancel);
                if (Text(problem, "type") != "urn:ietf:params:acme:error:badNonce" || i == NonceTries)
                    throw new AcmeException(Why(problem));
            }
        }
    }

    private async Task<string> NonceAsync(CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, await EndpointAsync("newNonce", cancel));
        using var response = await http.SendAsync(request, cancel);
        return response.Headers.TryGetValues("Replay-Nonce", out var fresh) ? fresh.First() : throw new AcmeException("The authority gives no nonce.");
    }

    private byte[] Sign(string url, byte[] payload, string nonce)
    {
        var head = Base64Url(Json(w =>
        {
            w.WriteString("alg", "ES256");
            if (_account is null)
            {
                w.WritePropertyName("jwk");
                w.WriteRawValue(Jwk());
            }
            else
            {
                w.WriteString("kid", _account);
            }
            w.WriteString("nonce", nonce);
            w.WriteString("url", url);
        }));
        var body = Base64Url(payload);
        byte[] signature;
        lock (_signing)
            signature = key.SignData(Encoding.ASCII.GetBytes($"{head}.{body}"), HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        return Json(w =>
        {
            w.WriteString("protected", head);
            w.WriteString("payload", body);
            w.WriteString("signature", Base64Url(signature));
        });
    }

    // The members that a thumbprint is made of, in its order and without spaces (RFC 7638 §3).
    private string Jwk()
    {
        ECPoint point;
        lock (_signing)
            point = key.ExportParameters(includePrivateParameters: false).Q;
        return $$"""{"crv":"P-256","kty":"EC","x":"{{Base64Url(point.X!)}}","y":"{{Base64Url(point.Y!)}}"}""";
    }

    private static async Task<JsonElement> ReadAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        try
        {
            using var document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancel));
            return document.RootElement.ValueKind is JsonValueKind.Object ? document.RootElement.Clone() : throw new AcmeException("The authority's answer is no object.");
        }
        catch (JsonException)
        {
            throw new AcmeException($"The authority answers {(int)response.StatusCode} with what is not JSON.");
        }
    }

    // An object may say itself why it is invalid, or one of its challenges does.
    private static string Why(JsonElement state)
    {
        var errors = state.TryGetProperty("challenges", out var challenges) && challenges.ValueKind is JsonValueKind.Array ? challenges.EnumerateArray().Append(state) : [state];
        var error = errors.Select(e => e.TryGetProperty("error", out var inner) ? inner : e).FirstOrDefault(e => Text(e, "detail") is not null);
        return error.ValueKind is JsonValueKind.Object ? $"{Text(error, "type")}: {Text(error, "detail")}" : $"The authority says '{Text(state, "status")}'.";
    }

    private static string? Status(JsonElement state) => Text(state, "status");

    private static string? Text(JsonElement from, string name) => from.ValueKind is JsonValueKind.Object && from.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.String ? value.GetString() : null;

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }
        return stream.ToArray();
    }

    private static string Base64Url(ReadOnlySpan<byte> bytes) => System.Buffers.Text.Base64Url.EncodeToString(bytes);
}
