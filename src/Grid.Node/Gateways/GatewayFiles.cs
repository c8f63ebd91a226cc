using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grid.Gateways;
using Grid.Node.Containers;

namespace Grid.Node.Gateways;

/// <summary>
/// What the agent and the front say to each other, as files that only root may read, each replaced whole:
/// <code>
/// RUN/gateways/agr1….door.route     by the agent: there is such a way in, from this namespace
/// RUN/gateways/agr1….door.state     by the front: how it stands; gone when nothing goes that way any more
/// RUN/gateways/agr1….door.traffic   by the front: what went that way so far
/// RUN/gateways/front                by the front: it listens
/// DATA/gateways/account.pem         the front's key at the certificate authority
/// DATA/gateways/agr1….door/certificate.pem    the key and the chain
/// </code>
/// </summary>
internal sealed class GatewayFiles(string data, string run)
{
    private const string RouteSuffix = ".route", StateSuffix = ".state", TrafficSuffix = ".traffic";

    public string Run { get; } = Path.Combine(run, "gateways");

    public string Data { get; } = Path.Combine(data, "gateways");

    public string Front => Path.Combine(Run, "front");

    public string AccountKey => Path.Combine(Data, "account.pem");

    public string Log => Path.Combine(data, "logs", "gateway.log");

    public string Certificate(ContainerId id) => Path.Combine(Data, id.ToString());

    public void Make()
    {
        Directory.CreateDirectory(Run, DirectoryModes.Private);
        Directory.CreateDirectory(Data, DirectoryModes.Private);
        Directory.CreateDirectory(Path.GetDirectoryName(Log)!, DirectoryModes.Private);
    }

    public IEnumerable<ContainerId> Routes() => Named(RouteSuffix);

    public IEnumerable<ContainerId> States() => Named(StateSuffix);

    public IEnumerable<ContainerId> Counted() => Named(TrafficSuffix);

    /// <summary>When it was written; of two routes of one name the later counts.</summary>
    public DateTime Written(ContainerId id) => File.GetLastWriteTimeUtc(Of(id, RouteSuffix));

    /// <returns>null when there is none, or what is there cannot be read</returns>
    public WrittenRoute? Route(ContainerId id) => Read(Of(id, RouteSuffix), GatewayJson.Default.RouteDocument) is { } d && IPEndPoint.TryParse(d.Backend, out var backend)
        ? new WrittenRoute(new Route(d.Hostname, d.Passthrough ? Tls.Passthrough : Tls.Terminate, backend), new ProcessIdentity(d.Pid, d.StartTicks))
        : null;

    public void Write(ContainerId id, WrittenRoute route) => PrivateFile.Replace(Of(id, RouteSuffix), JsonSerializer.SerializeToUtf8Bytes(
        new RouteDocument(route.Route.Hostname, route.Route.Tls is Tls.Passthrough, route.Route.Backend.ToString(), route.Place.Pid, route.Place.StartTicks), GatewayJson.Default.RouteDocument));

    public RouteState? State(ContainerId id) => Read(Of(id, StateSuffix), GatewayJson.Default.RouteState);

    public void Write(ContainerId id, RouteState state) => PrivateFile.Replace(Of(id, StateSuffix), JsonSerializer.SerializeToUtf8Bytes(state, GatewayJson.Default.RouteState));

    /// <returns>null when nothing was counted yet</returns>
    public RouteTraffic? Traffic(ContainerId id) => Read(Of(id, TrafficSuffix), GatewayJson.Default.RouteTraffic);

    public void Write(ContainerId id, RouteTraffic traffic) => PrivateFile.Replace(Of(id, TrafficSuffix), JsonSerializer.SerializeToUtf8Bytes(traffic, GatewayJson.Default.RouteTraffic), durable: false);

    public void DeleteTraffic(ContainerId id) => PrivateFile.Delete(Of(id, TrafficSuffix));

    public void DeleteRoute(ContainerId id) => File.Delete(Of(id, RouteSuffix));

    public void DeleteState(ContainerId id) => PrivateFile.Delete(Of(id, StateSuffix));

    private string Of(ContainerId id, string suffix) => Path.Combine(Run, id + suffix);

    private ImmutableArray<ContainerId> Named(string suffix) => Directory.Exists(Run)
        ? [.. Directory.EnumerateFiles(Run, "*" + suffix).Select(f => ContainerId.TryParse(Path.GetFileName(f.AsSpan())[..^suffix.Length], out var id) ? id : default).Where(i => i != default)]
        : [];

    private static T? Read<T>(string path, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), type);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            return null;
        }
    }
}

/// <param name="Place">the process whose network namespace the backend is dialled from</param>
internal sealed record WrittenRoute(Route Route, ProcessIdentity Place);

/// <param name="Front">which front says so</param>
/// <param name="Place">for the route from there</param>
/// <param name="Serving">false while it has no certificate</param>
/// <param name="Why">why it is not serving, or why its certificate could not be renewed</param>
/// <param name="Until">when its certificate ends</param>
internal sealed record RouteState(ProcessIdentity Front, ProcessIdentity Place, string Hostname, bool Serving, string? Why, DateTimeOffset? Until);

/// <summary>Bytes that were handed to TCP and taken from it at the https port, TLS included, since the route was first opened.</summary>
/// <param name="Sent">to clients</param>
/// <param name="Received">from them</param>
internal sealed record RouteTraffic(long Sent, long Received);

internal sealed record RouteDocument(string Hostname, bool Passthrough, string Backend, int Pid, ulong StartTicks);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true)]
[JsonSerializable(typeof(RouteDocument))]
[JsonSerializable(typeof(RouteState))]
[JsonSerializable(typeof(RouteTraffic))]
[JsonSerializable(typeof(ProcessIdentity))]
internal sealed partial class GatewayJson : JsonSerializerContext;
