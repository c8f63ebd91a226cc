using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Cli.Commands;

namespace Grid.Cli.Drafts;

/// <param name="Sign">'+' new, '-' gone, '~' other than before</param>
/// <param name="Path">names joined by points, as in <c>workloads.web.cpu</c></param>
public sealed record Change(char Sign, string Path, string? Before, string? After);

/// <summary>What one version has that another has not, field by field.</summary>
public static class Difference
{
    /// <summary>Fields that every version has anew and are no reason for one, and those that only say another field again.</summary>
    private static readonly ImmutableArray<string> LeftOut =
        ["version", "amends", "term.answerBy", "term.convergeBy", "money.decimals", "money.ratePerSecond", "money.perSecond", "money.perMonth"];

    /// <param name="before">null for a first version</param>
    public static ImmutableArray<Change> Between(AgreementTerms? before, AgreementTerms after)
    {
        var (old, now) = (Flat(before), Flat(after));
        var changes = ImmutableArray.CreateBuilder<Change>();
        foreach (var path in old.Keys.Union(now.Keys))
        {
            var (was, becomes) = (old.GetValueOrDefault(path), now.GetValueOrDefault(path));
            if (was != becomes)
                changes.Add(new Change(was is null ? '+' : becomes is null ? '-' : '~', path, was, becomes));
        }
        return [.. changes.OrderBy(c => Array.IndexOf(Order, c.Path.Split('.')[0])).ThenBy(c => c.Path.StartsWith("workloads.", StringComparison.Ordinal) ? c.Path.Split('.')[1] : "", StringComparer.Ordinal)];
    }

    private static readonly string[] Order = ["user", "note", "term", "farms", "workloads", "money"];

    private static Dictionary<string, string> Flat(AgreementTerms? terms)
    {
        var found = new Dictionary<string, string>();
        if (terms is not null)
            Walk("", Describe.Terms(terms), found);
        return found;
    }

    private static void Walk(string path, JsonNode? node, Dictionary<string, string> found)
    {
        switch (node)
        {
            case JsonObject fields:
                foreach (var (name, value) in fields)
                    Walk(path.Length == 0 ? name : $"{path}.{name}", value, found);
                break;
            // Farms are known by their id, other lists by what they hold.
            case JsonArray items when items.All(i => i is JsonObject o && o.ContainsKey("farm")) && items.Count > 0:
                foreach (var item in items)
                    Walk($"{path}.{item!["farm"]!.GetValue<string>()}", item, found);
                break;
            case JsonArray { Count: 0 } or null:
                break;
            case JsonArray items:
                found[path] = $"[{string.Join(", ", items.Select(Text))}]";
                break;
            default:
                if (!LeftOut.Contains(path) && Text(node) is { Length: > 0 } text)
                    found[path] = text;
                break;
        }
    }

    private static string Text(JsonNode? node) => node is null ? "" : node.GetValueKind() == JsonValueKind.String ? node.GetValue<string>() : node.ToJsonString();
}
