using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Cli.Output;
using Grid.Client;
using Grid.Offers;
using Grid.Units;

namespace Grid.Cli.Commands;

/// <summary>How amounts, times and views look.</summary>
internal static class Render
{
    public static string Time(DateTimeOffset at) => at.Text();

    public static string? Time(DateTimeOffset? at) => at is { } time ? Time(time) : null;

    /// <summary>An amount of the smallest unit as a decimal number of the currency: 1234 with 3 decimals is 1.234.</summary>
    public static string Amount(Money money, Currency currency)
    {
        var digits = money.Units.ToString(CultureInfo.InvariantCulture).PadLeft(currency.Decimals + 1, '0');
        var (whole, part) = (digits[..^currency.Decimals], digits[^currency.Decimals..].TrimEnd('0'));
        return part.Length == 0 ? $"{whole} {currency.Code}" : $"{whole}.{part} {currency.Code}";
    }

    /// <summary>What a rate comes to in a second, an hour and a month of 30 days.</summary>
    public static JsonObject Price(Money rate, Currency currency) => new()
    {
        ["currency"] = currency.Code,
        ["decimals"] = currency.Decimals,
        ["ratePerSecond"] = rate.ToString(),
        ["perSecond"] = Amount(rate, currency),
        ["perHour"] = Amount(rate * 3600, currency),
        ["perMonth"] = Amount(rate * 2_592_000, currency),
    };

    public static string PriceLine(Money rate, Currency currency) =>
        $"{Amount(rate, currency)}/s = {Amount(rate * 3600, currency)}/hour = {Amount(rate * 2_592_000, currency)}/month (30 days)";

    public static string Cores(long millicores) => (millicores / 1000m).ToString("0.###", CultureInfo.InvariantCulture);

    public static string Bytes(long bytes)
    {
        var (size, unit) = ((decimal)bytes, 0);
        for (; size >= 1024 && unit < 4; unit++)
            size /= 1024;
        return string.Create(CultureInfo.InvariantCulture, $"{size:0.#}{(ReadOnlySpan<string>)["B", "KiB", "MiB", "GiB", "TiB"] switch { var units => units[unit] }}");
    }

    public static JsonNode Node(JsonElement element) => JsonNode.Parse(element.GetRawText())!;

    public static JsonArray Array(IEnumerable<JsonNode?> items) => new([.. items]);

    public static JsonArray Texts(IEnumerable<string> items) => new([.. items.Select(t => (JsonNode?)JsonValue.Create(t))]);

    public static IEnumerable<JsonElement> Items(LedgerView view) =>
        view.Body.TryGetProperty("items", out var items) && items.ValueKind == JsonValueKind.Array ? items.EnumerateArray() : [];

    public static string? Text(JsonElement element, string name) => element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value)
        ? value.ValueKind switch { JsonValueKind.String => value.GetString(), JsonValueKind.Null => null, _ => value.GetRawText() }
        : null;

    public static Option<int?> Limit()
    {
        var limit = new Option<int?>("--limit") { Description = "At most so many; without it, all", HelpName = "N" };
        limit.Validators.Add(result =>
        {
            if (result.Errors.Any() || result.Tokens is [var token] && (!int.TryParse(token.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count < 1))
                result.AddError($"'--limit' is a number from 1.");
        });
        return limit;
    }

    /// <summary>A list as the ledger shows it, with the columns that matter to a person.</summary>
    public static Outcome List(LedgerView view, string whenEmpty, params ReadOnlySpan<(string Column, Func<JsonElement, Cell> Cell)> columns)
    {
        var cells = columns.ToArray();
        var rows = Items(view).Select(item => cells.Select(c => c.Cell(item)).ToImmutableArray()).ToImmutableArray();
        return Outcome.Of(Node(view.Body), new Block.Table([.. cells.Select(c => c.Column)], rows, whenEmpty));
    }

    /// <summary>Every field of one thing, nested names joined by points.</summary>
    public static Block.Fields Fields(JsonElement element)
    {
        var found = ImmutableArray.CreateBuilder<(string, Cell)>();
        Walk("", element, found);
        return new Block.Fields(found.ToImmutable());
    }

    public static Ink InkOf(string? status) => status switch
    {
        "running" or "ready" => Ink.Good,
        "refused" or "lapsed" or "failed" => Ink.Bad,
        "proposed" or "agreed" or "ending" or "starting" => Ink.Notice,
        _ => Ink.Plain,
    };

    private static void Walk(string name, JsonElement element, ImmutableArray<(string, Cell)>.Builder found)
    {
        if (element.ValueKind == JsonValueKind.Object)
        {
            foreach (var property in element.EnumerateObject())
                Walk(name.Length == 0 ? property.Name : $"{name}.{property.Name}", property.Value, found);
        }
        else if (element.ValueKind == JsonValueKind.Array && element.EnumerateArray().Any(e => e.ValueKind is JsonValueKind.Object or JsonValueKind.Array))
        {
            var at = 0;
            foreach (var item in element.EnumerateArray())
                Walk($"{name}[{at++}]", item, found);
        }
        else
        {
            found.Add((name, element.ValueKind switch
            {
                JsonValueKind.Array => string.Join(", ", element.EnumerateArray().Select(e => e.ToString())),
                JsonValueKind.Null => "-",
                _ => element.ToString(),
            }));
        }
    }
}
