using System.Collections.Immutable;
using Grid.Cli.Yaml;
using Grid.Units;

namespace Grid.Cli.Drafts;

/// <summary>
/// Reads a <c>grid.yaml</c>. Every fault is reported at once, each with its line and column; fields that nobody knows are refused.
/// <code>
/// name: hello                 # required; 1–36 of [a-z0-9-]
/// user: alice                 # optional: an account's name or id
/// note: text                  # optional
/// term: { start, until, notice, answerBy: +10m, convergeBy: +30m, offline: { after: 24h, then: keep } }
/// money: { grace: 24h }
/// offers: { FARM: OFFER }     # optional
/// node: NODE                  # optional: for every workload that names none
/// workloads: { NAME: { kind: address | container | gateway | network | volume, … } }
/// </code>
/// </summary>
public static class DraftReader
{
    public const int MaximumName = 36;

    /// <returns>null when there are faults</returns>
    public static Draft? Read(string text, out ImmutableArray<Fault> faults)
    {
        var found = new List<Fault>();
        Draft? draft = null;
        if (YamlText.Read(text, out var fault) is { } root)
            draft = Document(Fields.Of(root, "the file", found), root);
        else
            found.Add(fault!);
        faults = [.. found.OrderBy(f => f.At.Line).ThenBy(f => f.At.Column)];
        return faults.IsEmpty ? draft : null;
    }

    private static Draft Document(Fields f, YamlNode source)
    {
        var name = Name(f, f.Scalar("name", required: true), "name");
        var user = Named(f.Scalar("user"));
        var note = f.Text("note") ?? "";
        if (System.Text.Encoding.UTF8.GetByteCount(note) > 1000)
            f.Fault(f.Node("note")!.At, RefusalCode.TooLarge, "'note' has at most 1000 bytes.");
        var term = Term(f);
        var grace = f.Node("money") is { } money ? Grace(Fields.Of(money, "'money'", f.Faults)) : TimeSpan.FromDays(1);
        var offers = ImmutableArray.CreateBuilder<(Named, Named)>();
        if (f.Node("offers") is { } offersNode)
        {
            var o = Fields.Of(offersNode, "'offers'", f.Faults);
            foreach (var (key, value) in o.All)
            {
                if (Named(o.Scalar(value, key.Text)) is { } offer)
                    offers.Add((new Named(key.Text, key.At), offer));
            }
        }
        var node = Named(f.Scalar("node"));
        var workloads = Workloads(f, node);
        f.Close();
        return new Draft(name, user, note, term, grace, offers.ToImmutable(), workloads, source);
    }

    private static ImmutableArray<DraftWorkload> Workloads(Fields f, Named? node)
    {
        var found = ImmutableArray.CreateBuilder<DraftWorkload>();
        if (f.Required("workloads") is not { } at)
            return [];
        var fields = Fields.Of(at, "'workloads'", f.Faults);
        foreach (var (key, value) in fields.All)
        {
            Name(fields, key, "a workload's name");
            if (WorkloadReader.Read(key.Text, Fields.Of(value, $"the workload '{key.Text}'", f.Faults), node, key.At) is { } workload)
                found.Add(workload);
        }
        if (found.Count == 0 && f.Faults.Count == 0)
            f.Fault(at.At, RefusalCode.MissingField, "An agreement has at least one workload.");
        return [.. found.OrderBy(w => w.Workload.Name, StringComparer.Ordinal)];
    }

    private static DraftTerm Term(Fields document)
    {
        var answerBy = (DraftTime)new DraftTime.After(TimeSpan.FromMinutes(10));
        var convergeBy = (DraftTime)new DraftTime.After(TimeSpan.FromMinutes(30));
        var (offlineAfter, pause) = (TimeSpan.FromDays(1), false);
        if (document.Node("term") is not { } node)
            return new DraftTerm(null, null, null, answerBy, convergeBy, offlineAfter, pause);
        var f = Fields.Of(node, "'term'", document.Faults);
        var start = f.Parsed<DraftTime?>("start", Quantities.TryTime!, Quantities.TimeForm, null);
        var until = f.Parsed<DraftTime?>("until", Quantities.TryTime!, Quantities.TimeForm, null);
        var notice = f.Parsed<TimeSpan?>("notice", Optional<TimeSpan>(Quantities.TryDuration), Quantities.DurationForm, null);
        answerBy = f.Parsed("answerBy", Quantities.TryTime, Quantities.TimeForm, answerBy);
        convergeBy = f.Parsed("convergeBy", Quantities.TryTime, Quantities.TimeForm, convergeBy);
        if (f.Node("offline") is { } offlineNode)
        {
            var o = Fields.Of(offlineNode, "'offline'", f.Faults);
            offlineAfter = o.Parsed("after", Quantities.TryDuration, Quantities.DurationForm, offlineAfter, required: true);
            pause = o.Parsed("then", (string text, out bool value) => (value = text == "pause") || text == "keep", "keep or pause", false, required: true);
            o.Close();
        }
        f.Close();
        return new DraftTerm(start, until, notice, answerBy, convergeBy, offlineAfter, pause);
    }

    private static TimeSpan Grace(Fields f)
    {
        var grace = f.Parsed("grace", Quantities.TryDuration, Quantities.DurationForm, TimeSpan.FromDays(1));
        f.Close();
        return grace;
    }

    private static string Name(Fields f, YamlNode.Scalar? scalar, string what)
    {
        if (scalar is not null && !Names.IsValid(scalar.Text, 1, MaximumName))
            f.Fault(scalar.At, RefusalCode.NameInvalid, $"'{scalar.Text}' cannot be {(what == "name" ? "the agreement's name" : what)}.",
                $"Names have 1–{MaximumName} lower-case letters, digits and hyphens, none at either end.");
        return scalar?.Text ?? "";
    }

    private static Named? Named(YamlNode.Scalar? scalar) => scalar is null ? null : new Named(scalar.Text, scalar.At);

    private static Fields.Parser<T?> Optional<T>(Fields.Parser<T> parse) where T : struct => (string text, out T? value) =>
    {
        var ok = parse(text, out var v);
        value = v;
        return ok;
    };
}
