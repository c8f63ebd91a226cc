using System.Net;
using System.Text.Json;
using Grid.Farms;
using Grid.Networks;
using Grid.Node.Containers;

namespace Grid.Node.Networks;

/// <summary>What ip(8) says of one family: what leads to an address, and what leads from it.</summary>
internal sealed class RoutingTables
{
    public static readonly RoutingTables None = new();

    private const int Preference = 5_210;

    private readonly List<(string To, string Device, string? Table)> _routes = [];
    private readonly HashSet<(string From, string Table)> _rules = [];
    private readonly HashSet<(string Ip, string Device)> _proxies = [];

    public static RoutingTables Read(NetworkNamespace node, bool isIPv4)
    {
        string Show(params string[] what) => node.Run(Programs.Ip, [isIPv4 ? "-4" : "-6", "-j", "-N", .. what]);
        var read = new RoutingTables();
        foreach (var route in Items(Show("route", "show", "table", "all")).Where(r => r.TryGetProperty("dev", out _)))
            read._routes.Add((route.GetProperty("dst").GetString()!, route.GetProperty("dev").GetString()!, route.TryGetProperty("table", out var table) ? table.ToString() : null));
        foreach (var rule in Items(Show("rule", "show")).Where(r => r.TryGetProperty("src", out _) && r.TryGetProperty("table", out _)))
            read._rules.Add((rule.GetProperty("src").GetString()!, rule.GetProperty("table").ToString()));
        foreach (var entry in Items(Show("neigh", "show", "proxy")))
            read._proxies.Add((entry.GetProperty("dst").GetString()!, entry.GetProperty("dev").GetString()!));
        return read;
    }

    public bool Leads(Holder holder) => _routes.Exists(r => r.To == $"{holder.Ip}" && r.Device == holder.Interface);

    public bool IsWhole(Holder holder, uint table) =>
        Leads(holder) && _rules.Contains(($"{holder.Ip}", $"{table}")) && _routes.Exists(r => r.To == "default" && r.Table == $"{table}") && _proxies.Any(p => p.Ip == $"{holder.Ip}");

    /// <summary>Commands that make whole what is not; they may be given again.</summary>
    public List<string> Missing(Holder holder, uint table, FarmAddress listed, string outside) =>
    [
        .. listed.Bits == Bits(listed.Address) ? [] : (string[])[$"route replace {listed.Wire} dev {outside} table {table}"],
        $"route replace default via {listed.Gateway} dev {outside} onlink table {table}",
        .. MissingRule(holder.Ip, table),
        $"neigh replace proxy {holder.Ip} dev {outside}",
    ];

    // Given twice it would be there twice, or refused.
    public IEnumerable<string> MissingRule(IPAddress ip, uint table) => _rules.Contains(($"{ip}", $"{table}")) ? [] : [$"rule add from {ip} lookup {table} pref {Preference}"];

    /// <summary>Commands that remove what is there.</summary>
    public List<string> Left(IPAddress ip, uint table) =>
    [
        .. _proxies.Where(p => p.Ip == $"{ip}").Select(p => $"neigh del proxy {ip} dev {p.Device}"),
        .. _rules.Contains(($"{ip}", $"{table}")) ? (string[])[$"rule del from {ip} lookup {table} pref {Preference}"] : [],
        .. _routes.Where(r => r.Table == $"{table}").Select(r => $"route del {r.To} dev {r.Device} table {table}"),
    ];

    /// <summary>Of a prefix that is one address.</summary>
    public static int Bits(IPAddress ip) => ip.IsIPv4() ? 32 : 128;

    private static List<JsonElement> Items(string json)
    {
        using var document = JsonDocument.Parse(json.Length == 0 ? "[]" : json);
        return [.. document.RootElement.EnumerateArray().Select(e => e.Clone())];
    }
}

/// <summary>Whose an address is, by the element of the set that lets its packets out.</summary>
internal sealed record Holder(ContainerId Id, string Interface, IPAddress Ip)
{
    public string Element => $"\"{Interface}\" . {Ip}";
}
