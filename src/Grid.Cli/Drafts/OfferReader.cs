using System.Collections.Immutable;
using System.Globalization;
using Grid.Cli.Yaml;
using Grid.Offers;
using Grid.Units;

namespace Grid.Cli.Drafts;

/// <summary>An offer but for its farm and nodes, which are still names.</summary>
public sealed record OfferDraft(PostOffer Terms, ImmutableArray<Named> Nodes);

/// <summary>
/// Reads an offer's YAML.
/// <code>
/// currency: { code: EUR, decimals: 9 }          # 9: prices are in billionths of a euro
/// prices: { cpu: 3, memory: 1500, ssd: 20, hdd: 5, ipv4: 0 }    # per second: per millicore, per GiB, per GiB, per GiB, per address
/// kinds: [address, container, gateway, network, vm, volume]
/// ceiling: { cpu: 8, memory: 16GiB, ssd: 100GiB, hdd: 0B, ipv4: 0 }
/// notice: 1h
/// expires: +30d
/// nodes: [NODE, …]                              # optional: only these nodes of the farm
/// </code>
/// </summary>
public static class OfferReader
{
    private const long HighestPrice = 1_000_000_000_000;

    /// <param name="now">what times such as +30d count from</param>
    /// <returns>null when there are faults</returns>
    public static OfferDraft? Read(string text, DateTimeOffset now, out ImmutableArray<Fault> faults)
    {
        var found = new List<Fault>();
        OfferDraft? draft = null;
        if (YamlText.Read(text, out var fault) is { } root)
            draft = Document(Fields.Of(root, "the offer", found), now);
        else
            found.Add(fault!);
        faults = [.. found.OrderBy(f => f.At.Line).ThenBy(f => f.At.Column)];
        return faults.IsEmpty ? draft : null;
    }

    private static OfferDraft Document(Fields f, DateTimeOffset now)
    {
        var currency = Currency(f);
        var p = Fields.Of(f.Required("prices") ?? Nothing(f), "'prices'", f.Faults);
        var prices = new Prices(Price(p, "cpu"), Price(p, "memory"), Price(p, "ssd"), Price(p, "hdd"), Price(p, "ipv4"));
        p.Close();
        var kinds = f.Texts("kinds");
        if (kinds.IsEmpty && f.Required("kinds") is { } empty)
            f.Fault(empty.At, RefusalCode.MissingField, "An offer is for at least one kind of workload.", "Write [container] or [container, volume].");
        var c = Fields.Of(f.Required("ceiling") ?? Nothing(f), "'ceiling'", f.Faults);
        var ceiling = new Capacity(
            c.Parsed<MilliCores>("cpu", Quantities.TryCpu, Quantities.CpuForm, default), Bytes(c, "memory"), Bytes(c, "ssd"), Bytes(c, "hdd"), c.Integer("ipv4", 0, 65_536, 0));
        c.Close();
        var notice = f.Parsed("notice", Quantities.TryDuration, Quantities.DurationForm, TimeSpan.Zero);
        var expires = f.Parsed<DraftTime>("expires", Quantities.TryTime, Quantities.TimeForm, new DraftTime.After(TimeSpan.FromDays(30)));
        var nodes = f.List("nodes").Select(n => f.Scalar(n, "nodes")).OfType<YamlNode.Scalar>().Select(s => new Named(s.Text, s.At)).ToImmutableArray();
        f.Close();
        var terms = new PostOffer(default, [], [.. kinds.Distinct().Order(StringComparer.Ordinal)], prices, currency, ceiling, notice, expires.From(now));
        return new OfferDraft(terms, nodes);
    }

    private static Currency Currency(Fields document)
    {
        var f = Fields.Of(document.Required("currency") ?? Nothing(document), "'currency'", document.Faults);
        var code = f.Parsed("code", (string text, out string value) => (value = text) is { Length: >= 2 and <= 16 } && text.All(c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c)),
            "2–16 capital letters and digits, such as EUR", "XXX", required: true);
        var decimals = f.Integer("decimals", 0, 18, 9);
        f.Close();
        return new Currency(code, decimals);
    }

    private static Bytes Bytes(Fields f, string name) => f.Parsed<Bytes>(name, Quantities.TryBytes, Quantities.BytesForm, default);

    private static long Price(Fields f, string name) => f.Parsed(name,
        (string text, out long value) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value <= HighestPrice,
        "a whole number of the currency's smallest unit per second", 0L);

    private static YamlNode.Mapping Nothing(Fields f) => new(f.At, []);
}
