using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Grid.Telemetry;

/// <summary>
/// Whoever gathers what the programs say of themselves, by OTLP. Which one, how and how often is said by the variables that the OpenTelemetry
/// specification names (OTEL_EXPORTER_OTLP_*, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_METRIC_EXPORT_INTERVAL); without an endpoint nothing is
/// loaded, listened to or sent.
/// </summary>
public sealed class Collector : IDisposable
{
    public const string Variable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    private readonly TracerProvider _traces;
    private readonly MeterProvider _metrics;

    private Collector(TracerProvider traces, MeterProvider metrics) => (_traces, _metrics) = (traces, metrics);

    /// <summary>Null when no collector is named.</summary>
    /// <param name="service">the program: service.name</param>
    /// <param name="instance">what tells it from its like, a node's id: service.instance.id</param>
    /// <param name="names">of the sources and meters that are heard</param>
    public static Collector? Connect(string service, string? instance, params string[] names) => Connect(service, instance, [], names);

    /// <param name="narrowed">instruments whose series are told apart by these tags alone; the others are on the exemplars</param>
    public static Collector? Connect(string service, string? instance, (string Instrument, string[] Dimensions)[] narrowed, params string[] names) =>
        string.IsNullOrWhiteSpace(Environment.GetEnvironmentVariable(Variable)) ? null : Build(service, instance, narrowed, names);

    /// <summary>Sends what is left, for at most some seconds.</summary>
    public void Dispose()
    {
        _traces.Dispose();
        _metrics.Dispose();
    }

    // Apart, so that the packages are loaded only when they are used.
    private static Collector Build(string service, string? instance, (string Instrument, string[] Dimensions)[] narrowed, string[] names)
    {
        void Describe(ResourceBuilder resource) => resource.AddService(
            service, "grid", typeof(Collector).Assembly.GetName().Version?.ToString(3), autoGenerateServiceInstanceId: instance is null, instance);
        var metrics = Sdk.CreateMeterProviderBuilder().ConfigureResource(Describe).AddMeter(names).AddMeter("System.Runtime");
        if (Environment.GetEnvironmentVariable("OTEL_METRICS_EXEMPLAR_FILTER") is null)
            metrics.SetExemplarFilter(ExemplarFilterType.TraceBased);
        foreach (var (instrument, dimensions) in narrowed)
            metrics.AddView(instrument, new MetricStreamConfiguration { TagKeys = dimensions });
        return new Collector(
            Sdk.CreateTracerProviderBuilder().ConfigureResource(Describe).AddSource(names).AddOtlpExporter().Build(),
            metrics.AddOtlpExporter().Build());
    }
}
