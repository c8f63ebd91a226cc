using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Grid.Stories.Tests.Stage;

/// <param name="Service">service.name of whoever sent it</param>
/// <param name="Source">the name of its instrumentation scope</param>
/// <param name="Tags">texts, numbers as texts, and the items of lists</param>
public sealed record Span(string Service, string Source, string Name, string Trace, string Id, string Parent, ILookup<string, string> Tags);

/// <param name="Tags">what the series is told apart by</param>
/// <param name="Examples">single measurements: the span they were made in, and the tags that the series has not</param>
public sealed record Series(string Name, ILookup<string, string> Tags, ImmutableArray<(string Span, ILookup<string, string> Tags)> Examples);

/// <summary>A collector: takes OTLP over HTTP in protobuf (opentelemetry-proto 1.x) and keeps what it hears.</summary>
public sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentQueue<byte[]> _bodies = [];
    private readonly ConcurrentQueue<Span> _spans = [];
    private readonly ConcurrentDictionary<string, string> _metrics = [];
    private readonly ConcurrentQueue<Series> _series = [];

    private OtlpReceiver(WebApplication app) => _app = app;

    /// <summary>What a program must be told to send here.</summary>
    public IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string>
    {
        ["OTEL_EXPORTER_OTLP_ENDPOINT"] = _app.Urls.First(),
        ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf",
        // A gauge is what is there when it is read: much shorter than the shortest life of a workload in a story, which is under a second.
        ["OTEL_METRIC_EXPORT_INTERVAL"] = "100",
        ["OTEL_BSP_SCHEDULE_DELAY"] = "200",
    };

    public IReadOnlyCollection<Span> Spans => _spans;

    /// <summary>Names of metrics with their units.</summary>
    public IReadOnlyDictionary<string, string> Metrics => _metrics;

    /// <summary>Every point of a histogram that was heard.</summary>
    public IReadOnlyCollection<Series> Histograms => _series;

    public static async Task<OtlpReceiver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.Urls.Add("http://127.0.0.1:0");
        var receiver = new OtlpReceiver(app);
        app.MapPost("/v1/traces", context => receiver.TakeAsync(context, receiver.ReadTraces));
        app.MapPost("/v1/metrics", context => receiver.TakeAsync(context, receiver.ReadMetrics));
        await app.StartAsync();
        return receiver;
    }

    /// <summary>True when the text was anywhere in what arrived.</summary>
    public bool Heard(string text) => _bodies.Any(b => b.AsSpan().IndexOf(Encoding.UTF8.GetBytes(text)) >= 0);

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task TakeAsync(HttpContext context, Action<byte[]> read)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        _bodies.Enqueue(body.ToArray());
        read(body.ToArray());
        context.Response.ContentType = "application/x-protobuf";
    }

    private void ReadTraces(byte[] body)
    {
        foreach (var (service, source, span) in Scoped(body))
        {
            var fields = Fields(span).ToLookup(f => f.Number, f => f.Bytes);
            _spans.Enqueue(new Span(service, source, Text(fields[5]), Convert.ToHexStringLower(fields[1].First()), Convert.ToHexStringLower(fields[2].First()),
                Convert.ToHexStringLower(fields[4].FirstOrDefault() ?? []), Tags(fields[9])));
        }
    }

    private void ReadMetrics(byte[] body)
    {
        foreach (var (service, _, metric) in Scoped(body))
        {
            var fields = Fields(metric).ToLookup(f => f.Number, f => f.Bytes);
            _metrics[$"{service} {Text(fields[1])}"] = Text(fields[3]);
            // Histogram: 9 { data_points: 1 { exemplars: 8 { span_id: 4, trace_id: 5, filtered_attributes: 7 }, attributes: 9 } }.
            foreach (var point in fields[9].SelectMany(Fields).Where(f => f.Number == 1).Select(f => Fields(f.Bytes).ToLookup(p => p.Number, p => p.Bytes)))
                _series.Enqueue(new Series(Text(fields[1]), Tags(point[9]), [.. point[8].Select(e => Fields(e).ToLookup(f => f.Number, f => f.Bytes)).Select(e => (Convert.ToHexStringLower(e[4].FirstOrDefault() ?? []), Tags(e[7])))]));
        }
    }

    // resource_spans and resource_metrics are alike: { resource: 1 { attributes: 1 }, scope: 2 { scope: 1 { name: 1 }, items: 2 } }.
    private static IEnumerable<(string Service, string Source, byte[] Item)> Scoped(byte[] body) =>
        from one in Fields(body)
        let resource = Fields(one.Bytes).ToLookup(f => f.Number, f => f.Bytes)
        let service = Tags(resource[1].SelectMany(Fields).Where(f => f.Number == 1).Select(f => f.Bytes))["service.name"].First()
        from scope in resource[2]
        let parts = Fields(scope).ToLookup(f => f.Number, f => f.Bytes)
        let source = Text(parts[1].SelectMany(Fields).Where(f => f.Number == 1).Select(f => f.Bytes))
        from item in parts[2]
        select (service, source, item);

    private static ILookup<string, string> Tags(IEnumerable<byte[]> pairs) => pairs
        .Select(p => Fields(p).ToLookup(f => f.Number, f => f.Bytes))
        .SelectMany(p => Values(p[2].First()), (p, value) => (Key: Text(p[1]), Value: value))
        .ToLookup(t => t.Key, t => t.Value);

    private static IEnumerable<string> Values(byte[] any) => Fields(any).SelectMany(f => f.Number switch
    {
        1 => [Encoding.UTF8.GetString(f.Bytes)],
        5 => Fields(f.Bytes).SelectMany(v => Values(v.Bytes)),
        _ => (string[])[f.Varint.ToString(System.Globalization.CultureInfo.InvariantCulture)],
    });

    private static string Text(IEnumerable<byte[]> values) => Encoding.UTF8.GetString(values.FirstOrDefault() ?? []);

    // https://protobuf.dev/programming-guides/encoding: varint, 64 bits, length-delimited, 32 bits.
    private static IEnumerable<(int Number, byte[] Bytes, ulong Varint)> Fields(byte[] message)
    {
        for (var at = 0; at < message.Length;)
        {
            var tag = Varint(message, ref at);
            var varint = (tag & 7) == 0 ? Varint(message, ref at) : 0;
            var length = (tag & 7) switch { 0 => 0, 1 => 8, 2 => (int)Varint(message, ref at), 5 => 4, _ => throw new FormatException($"wire type {tag & 7}") };
            yield return ((int)(tag >> 3), message[at..(at + length)], varint);
            at += length;
        }
    }

    private static ulong Varint(byte[] message, ref int at)
    {
        var value = 0UL;
        for (var shift = 0; ; shift += 7)
        {
            value |= (ulong)(message[at] & 0x7f) << shift;
            if (message[at++] < 0x80)
                return value;
        }
    }
}
