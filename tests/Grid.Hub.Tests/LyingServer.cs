using System.Collections.Concurrent;
using System.Net.Http.Headers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Grid.Hub.Tests;

/// <summary>What a server is about to answer; a lie changes it.</summary>
public sealed class Answer
{
    public required string Path { get; init; }
    public required int Status { get; set; }
    public required byte[] Body { get; set; }
    public string? MediaType { get; set; }
    public string? ContentRange { get; set; }
    public string? Location { get; set; }

    /// <summary>The length that is stated, when it is not that of the body.</summary>
    public long? StatedLength { get; set; }

    /// <summary>Sends one byte and then nothing until the client goes away.</summary>
    public bool Hang { get; set; }

    /// <summary>Says no length, and after the body goes on with zeros until the client goes away.</summary>
    public bool Endless { get; set; }

    /// <summary>Bytes between flushes a tenth of a second apart; 0 sends at once.</summary>
    public int DripBytes { get; set; }
}

/// <summary>Stands before an honest hub or ledger and answers as it does, changed by a lie.</summary>
public sealed class LyingServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly HttpClient _honest;

    private LyingServer(WebApplication app, HttpClient honest)
    {
        (_app, _honest) = (app, honest);
    }

    public string Address => _app.Urls.First();

    public Action<Answer> Lie { get; set; } = _ => { };

    public ConcurrentBag<string> Asked { get; } = [];

    public static async Task<LyingServer> StartAsync(string honest)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0").ConfigureKestrel(k =>
        {
            k.Limits.MaxRequestBodySize = null;
            k.Limits.MinResponseDataRate = null;
        });
        var hub = new LyingServer(builder.Build(), new HttpClient { BaseAddress = new Uri(honest), Timeout = Timeout.InfiniteTimeSpan });
        hub._app.Run(hub.AnswerAsync);
        await hub._app.StartAsync();
        return hub;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _honest.Dispose();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var path = context.Request.Path + context.Request.QueryString;
        Asked.Add($"{context.Request.Method} {path}");
        using var request = new HttpRequestMessage(new HttpMethod(context.Request.Method), path);
        if (context.Request.Headers.Range.Count > 0)
            request.Headers.Range = RangeHeaderValue.Parse(context.Request.Headers.Range.ToString());
        if (context.Request.Method is "POST" or "PUT")
            request.Content = new StreamContent(context.Request.Body);
        if (context.Request.ContentType is { } type && request.Content is { } content)
            content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        using var honest = await _honest.SendAsync(request);
        var answer = new Answer
        {
            Path = path,
            Status = (int)honest.StatusCode,
            Body = await honest.Content.ReadAsByteArrayAsync(),
            MediaType = honest.Content.Headers.ContentType?.ToString(),
            ContentRange = honest.Content.Headers.ContentRange?.ToString(),
        };
        Lie(answer);
        context.Response.StatusCode = answer.Status;
        context.Response.ContentType = answer.MediaType;
        if (!answer.Endless)
            context.Response.ContentLength = answer.StatedLength ?? answer.Body.Length;
        if (answer.ContentRange is not null)
            context.Response.Headers.ContentRange = answer.ContentRange;
        if (answer.Location is not null)
            context.Response.Headers.Location = answer.Location;
        await SendAsync(context, answer);
    }

    private static async Task SendAsync(HttpContext context, Answer answer)
    {
        var gone = context.RequestAborted;
        try
        {
            if (answer.Endless)
                await context.Response.Body.WriteAsync(answer.Body, gone);
            for (var zeros = new byte[64 << 10]; answer.Endless;)
                await context.Response.Body.WriteAsync(zeros, gone);
            if (!answer.Hang && answer.DripBytes == 0)
            {
                await context.Response.Body.WriteAsync(answer.Body, gone);
                if (answer.StatedLength > answer.Body.Length)
                    context.Abort();
                return;
            }
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(answer.Hang ? 10_000 : 50));
            for (var at = 0; at < answer.Body.Length; at += int.Max(1, answer.DripBytes))
            {
                await context.Response.Body.WriteAsync(answer.Body.AsMemory(at, int.Min(int.Max(1, answer.DripBytes), answer.Body.Length - at)), gone);
                await context.Response.Body.FlushAsync(gone);
                await timer.WaitForNextTickAsync(gone);
            }
        }
        catch (OperationCanceledException)
        {
            // The client had enough of it.
        }
    }
}
