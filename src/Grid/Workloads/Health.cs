using Grid.Statements;

namespace Grid.Workloads;

/// <summary>How a container is asked whether it does its work: from inside its own network, and nothing is started in it.</summary>
/// <param name="Path">asked for by HTTP/1.1 GET, healthy on 200 to 399; null: a connection that is accepted is healthy</param>
/// <param name="Port">TCP; 1 to 65535</param>
/// <param name="Every">1 s to 1 h; until it was healthy once it is asked sooner</param>
/// <param name="Within">1 s to 60 s and not above <paramref name="Every"/>; later is no answer</param>
/// <param name="Failures">
/// 1 to 100: so many unhealthy answers in a row end it, and its restart policy starts it again. Until it was healthy once none of the first
/// <paramref name="Every"/> × <paramref name="Failures"/> counts.
/// </param>
public sealed record Health(string? Path, int Port, TimeSpan Every, TimeSpan Within, int Failures)
{
    public const int MaximumPath = 1024, MaximumFailures = 100;

    public static readonly TimeSpan Soonest = TimeSpan.FromSeconds(1), MaximumEvery = TimeSpan.FromHours(1), MaximumWithin = TimeSpan.FromMinutes(1);

    /// <summary>How long a start may take before an unhealthy answer counts.</summary>
    public TimeSpan Grace => Every * Failures;

    /// <summary>
    /// <code>
    /// health = { "path": text / null, "port": 1..65535, "every": seconds, "within": seconds, "failures": 1..100 }
    /// </code>
    /// </summary>
    internal static void Write(CanonicalWriter w, Health? health)
    {
        if (health is null)
        {
            w.Null();
            return;
        }
        w.Map(5, m =>
        {
            if (health.Path is { } path)
                m.Key("path").Text(path);
            else
                m.Key("path").Null();
            m.Key("port").UInt(health.Port);
            m.Key("every").Seconds(health.Every);
            m.Key("within").Seconds(health.Within);
            m.Key("failures").UInt(health.Failures);
        });
    }

    internal static Health? Read(CanonicalReader r) => r.TryNull() ? null : r.Map(m =>
    {
        var path = m.Field("path").TryNull() ? null : m.Text(Container.MaximumPath);
        var port = (int)m.Field("port").UInt(65_535);
        var every = m.Field("every").Seconds();
        var within = m.Field("within").Seconds();
        var failures = (int)m.Field("failures").UInt(MaximumFailures);
        return port > 0 && failures > 0
            ? new Health(path, port, every, within, failures)
            : throw CanonicalReader.Malformed($"Health is asked on a port from 1 to 65535 and fails after 1 to {MaximumFailures} answers.");
    });
}
