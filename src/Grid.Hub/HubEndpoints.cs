using System.Text.Json;
using Grid.Flists;
using Grid.Flists.Packs;
using Grid.Flists.Store;
using Grid.Units;
using Microsoft.AspNetCore.Http.Features;

namespace Grid.Hub;

/// <summary>
/// The HTTP API. Everything but the list and the index is immutable and named by its hash.
/// <code>
/// GET  /v1/flists?after=ID&amp;limit=N     {"items":["fl1…"],"next":"fl1…"|null}
/// GET  /v1/flists/{fl1…}/manifest       application/cbor
/// GET  /v1/flists/{fl1…}/index          where each chunk lies (Packs/FORMAT.md)
/// GET  /v1/meta/{root}                  one zstd stream
/// GET  /v1/packs/{hash}                 ranges
/// POST /v1/missing                      up to 10,000 hashes of 32 bytes, one after the other; the answer is those that are missing
/// PUT  /v1/packs/{hash}   /v1/meta/{root}   /v1/flists/{fl1…}     201 new, 200 there already
/// </code>
/// </summary>
internal sealed partial class HubEndpoints(DirectoryStore store, HubOptions options, ILogger log) : IDisposable
{
    public const int MaximumMissing = 10_000;
    public const string MethodNotAllowed = "method-not-allowed";
    public const string TooSlow = "too-slow";
    public const int SmallBody = FlistLimits.ManifestLength;
    private const int DefaultPage = 100;
    private const int MaximumPage = 1000;

    private static readonly System.Buffers.SearchValues<char> HexDigits = System.Buffers.SearchValues.Create("0123456789abcdef");

    private readonly SemaphoreSlim _uploads = new(options.MaximumUploads);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/v1/flists", ["GET", "HEAD"], ListAsync).WithMetadata(new Queries("after", "limit"));
        routes.MapMethods("/v1/flists/{id}/manifest", ["GET", "HEAD"], ManifestAsync);
        routes.MapMethods("/v1/flists/{id}/index", ["GET", "HEAD"], c => SendAsync(c, FlistOf(c), store.TryOpenIndex, "application/octet-stream", immutable: false));
        routes.MapMethods("/v1/meta/{hash}", ["GET", "HEAD"], c => SendAsync(c, HashOf(c), store.TryOpenMeta, "application/zstd", immutable: true));
        routes.MapMethods("/v1/packs/{hash}", ["GET", "HEAD"], c => SendAsync(c, HashOf(c), store.TryOpenPack, "application/octet-stream", immutable: true));
        routes.MapMethods("/v1/missing", ["POST"], MissingAsync);
        routes.MapMethods("/v1/packs/{hash}", ["PUT"], c => UploadAsync(c, PackLimits.PackLength, PutPackAsync));
        routes.MapMethods("/v1/meta/{hash}", ["PUT"], c => UploadAsync(c, options.MaximumMeta, PutMetaAsync));
        routes.MapMethods("/v1/flists/{id}", ["PUT"], c => UploadAsync(c, SmallBody, PublishAsync));
        routes.MapMethods("/healthz", ["GET", "HEAD"], c => c.Response.WriteAsync("ok\n"));
    }

    /// <summary>Turns what went wrong into problem details; says nothing of the hub's inside.</summary>
    public async Task AnswerErrors(HttpContext context, RequestDelegate next)
    {
        try
        {
            if (Api.RequestHead.TooLong(context) is var (refusal, status))
            {
                await Problem.WriteAsync(context, refusal, status);
                return;
            }
            await next(context);
            if (context is { Response: { HasStarted: false, StatusCode: StatusCodes.Status404NotFound } } && context.GetEndpoint() is null)
                await Problem.WriteAsync(context, new Refusal(RefusalCode.NotFound, "There is nothing here.", "The endpoints are under /v1."));
            else if (context.Response is { HasStarted: false, StatusCode: StatusCodes.Status405MethodNotAllowed })
                await Problem.WriteAsync(context, new Refusal(MethodNotAllowed, $"{context.Request.Method} is not for this address."), StatusCodes.Status405MethodNotAllowed);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            context.Abort();
        }
        catch (Exception e) when (context.Response.HasStarted)
        {
            // Half an answer must not look like a whole one.
            Broken(e, context.Request.Path);
            context.Abort();
        }
        catch (RefusedException e)
        {
            await Problem.WriteAsync(context, e.Refusal, e.Status);
        }
        catch (BadHttpRequestException e)
        {
            var code = e.StatusCode switch
            {
                StatusCodes.Status413PayloadTooLarge => RefusalCode.TooLarge,
                StatusCodes.Status408RequestTimeout => TooSlow,
                _ => RefusalCode.Malformed,
            };
            await Problem.WriteAsync(context, new Refusal(code, e.Message), e.StatusCode);
        }
        catch (FormatException e)
        {
            await Problem.WriteAsync(context, new Refusal(RefusalCode.FlistInvalid, e.Message));
        }
        catch (StoreFullException e)
        {
            await Problem.WriteAsync(context, new Refusal(RefusalCode.Capacity, e.Message, "Use another hub, or ask who runs this one."));
        }
        catch (Exception e)
        {
            Broken(e, context.Request.Path);
            var status = e is IOException ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status500InternalServerError;
            await Problem.WriteAsync(context, new Refusal(RefusalCode.Capacity, "The hub could not do this now.", "Try again later."), status);
        }
    }

    public void Dispose() => _uploads.Dispose();

    private async Task ListAsync(HttpContext context)
    {
        var query = context.Request.Query;
        FlistId? after = null;
        if (query.TryGetValue("after", out var text))
            after = Id.TryParse<FlistId>(text, out var id) ? id : throw Malformed("after is not an flist id.");
        var limit = DefaultPage;
        if (query.TryGetValue("limit", out var count) && (!int.TryParse(count, out limit) || limit is < 1 or > MaximumPage))
            throw Malformed($"limit is a number from 1 to {MaximumPage}.");
        var items = store.List(after, limit + 1);
        context.Response.ContentType = "application/json";
        context.Response.Headers.CacheControl = "no-cache";
        using var json = new Utf8JsonWriter(context.Response.BodyWriter);
        json.WriteStartObject();
        json.WriteStartArray("items");
        foreach (var item in items.Take(limit))
            json.WriteStringValue(item.ToString());
        json.WriteEndArray();
        json.WriteString("next", items.Length > limit ? items[limit - 1].ToString() : null);
        json.WriteEndObject();
        await json.FlushAsync(context.RequestAborted);
    }

    private async Task ManifestAsync(HttpContext context)
    {
        var id = FlistOf(context);
        var manifest = store.TryReadManifest(id) ?? throw Absent(id.ToString());
        if (!FileAnswer.Prepare(context, $"\"{id}\"", manifest.Length, "application/cbor", immutable: true, out var from, out var length))
            return;
        await context.Response.Body.WriteAsync(manifest.AsMemory((int)from, (int)length), context.RequestAborted);
    }

    private async Task MissingAsync(HttpContext context)
    {
        const int Maximum = MaximumMissing * Digest.Size;
        Bound(context, Maximum);
        var body = new byte[(int)long.Min(context.Request.ContentLength ?? Maximum, Maximum) + 1];
        var length = await context.Request.Body.ReadAtLeastAsync(body, body.Length, throwOnEndOfStream: false, context.RequestAborted);
        if (length % Digest.Size != 0 || length > Maximum)
            throw Malformed($"The body is up to {MaximumMissing} hashes of {Digest.Size} bytes, one after the other.");
        var hashes = new Digest[length / Digest.Size];
        for (var i = 0; i < hashes.Length; i++)
            hashes[i] = new Digest(body.AsSpan(i * Digest.Size, Digest.Size));
        var missing = store.Missing(hashes);
        for (var i = 0; i < missing.Length; i++)
            missing[i].CopyTo(body.AsSpan(i * Digest.Size));
        context.Response.ContentType = "application/octet-stream";
        context.Response.ContentLength = missing.Length * Digest.Size;
        context.Response.Headers.CacheControl = "no-store";
        await context.Response.Body.WriteAsync(body.AsMemory(0, missing.Length * Digest.Size), context.RequestAborted);
    }

    private Task<bool> PutPackAsync(HttpContext context) => store.PutPackAsync(HashOf(context), context.Request.Body, context.RequestAborted);

    private Task<bool> PutMetaAsync(HttpContext context) => store.PutMetaAsync(HashOf(context), context.Request.Body, context.RequestAborted);

    private async Task<bool> PublishAsync(HttpContext context)
    {
        var id = FlistOf(context);
        if (store.TryReadManifest(id) is not null)
            return false;
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        // Proving packs hashes up to all of them: not on a thread that answers others.
        var refusal = await Task.Run(() => store.Publish(id, body.ToArray(), context.RequestAborted), context.RequestAborted);
        return refusal is null ? true : throw new RefusedException(refusal);
    }

    private async Task UploadAsync(HttpContext context, long maximumBody, Func<HttpContext, Task<bool>> put)
    {
        Bound(context, maximumBody);
        if (!await _uploads.WaitAsync(TimeSpan.Zero))
            throw new RefusedException(new Refusal(RefusalCode.Capacity, "The hub is checking as many uploads as it may.", "Try again shortly."), StatusCodes.Status503ServiceUnavailable);
        try
        {
            var added = await put(context);
            context.Response.StatusCode = added ? StatusCodes.Status201Created : StatusCodes.Status200OK;
            context.Response.ContentLength = 0;
        }
        finally
        {
            _uploads.Release();
        }
    }

    private static async Task SendAsync<T>(HttpContext context, T name, Func<T, Microsoft.Win32.SafeHandles.SafeFileHandle?> open, string type, bool immutable)
        where T : notnull
    {
        using var file = open(name) ?? throw Absent(name.ToString()!);
        // An index is derived and may be derived anew: its tag tells one from another by when it was made.
        var tag = immutable ? $"\"{name}\"" : $"\"{name}-{File.GetLastWriteTimeUtc(file).Ticks:x}\"";
        if (FileAnswer.Prepare(context, tag, RandomAccess.GetLength(file), type, immutable, out var from, out var length))
            await FileAnswer.CopyAsync(file, from, length, context);
    }

    // Before the first byte is read; Kestrel answers 413 when more comes.
    private static void Bound(HttpContext context, long maximum)
    {
        var feature = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        feature.MaxRequestBodySize = maximum;
        if (context.Request.ContentLength <= maximum || context.Request.ContentLength is null)
            return;
        // Kestrel reads what is left for a few seconds, so that the client sees the answer instead of a broken connection.
        feature.MaxRequestBodySize = null;
        throw new RefusedException(new Refusal(RefusalCode.TooLarge, $"At most {maximum} bytes may come here."));
    }

    private static Digest HashOf(HttpContext context)
    {
        var text = (string)context.Request.RouteValues["hash"]!;
        return text.Length == 2 * Digest.Size && !text.AsSpan().ContainsAnyExcept(HexDigits) ? Digest.ParseHex(text)
            : throw Malformed("A hash is 64 lower-case hexadecimal digits.");
    }

    private static FlistId FlistOf(HttpContext context) => Id.TryParse<FlistId>((string)context.Request.RouteValues["id"]!, out var id)
        ? id : throw Malformed("This is not an flist id; it starts with fl1 and a letter may be mistyped.");

    private static RefusedException Malformed(string detail) => new(new Refusal(RefusalCode.Malformed, detail));

    private static RefusedException Absent(string name) => new(new Refusal(RefusalCode.NotFound, $"{name} is not here."));

    [LoggerMessage(Level = LogLevel.Error, Message = "{Path} could not be answered")]
    private partial void Broken(Exception error, string path);
}

/// <summary>Carries a refusal from an endpoint to the one place that answers with it.</summary>
internal sealed class RefusedException(Refusal refusal, int? status = null) : Exception(refusal.ToString())
{
    public Refusal Refusal { get; } = refusal;

    public int? Status { get; } = status;
}
