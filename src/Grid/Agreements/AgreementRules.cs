using System.Collections.Immutable;
using Grid.Addresses;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Secrets;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Agreements;

/// <summary>
/// The static rules that need nothing but the terms: an agreement is fully described or it is refused. The draft tool, the ledger and every node
/// call this same function. What needs the flist's files is <c>Closure</c>'s matter; what needs the ledger's state is decided there.
/// </summary>
public static class AgreementRules
{
    public static readonly Bytes SmallestMemory = Bytes.MiB(1);

    private static readonly string[] ReservedPaths = ["/proc", "/sys", "/dev"];

    /// <summary>Every rule that the terms break, in the order of the terms; empty when they keep them all.</summary>
    public static ImmutableArray<Refusal> Check(AgreementTerms terms)
    {
        var found = new Findings();
        CheckParties(terms, found);
        CheckTerm(terms.Term, found);
        foreach (var workload in terms.Workloads)
        {
            var its = found.Of(workload);
            if (!Names.IsValid(workload.Name, 1, 36))
                its.Add(new(RefusalCode.NameInvalid, $"'{workload.Name}' is not a workload's name.", "Use 1–36 of a–z, 0–9 and hyphens, none at either end."));
            if (workload is Placed { Node: var node } && !terms.Nodes.Contains(node))
                its.Add(new(RefusalCode.UnresolvedNode, $"'{workload.Name}' is on {node}, which no farm of this agreement brings."), "node");
            // Zero is no bound at all for the shim that keeps them.
            if (workload is Runnable runs && (runs.Logs.Value <= 0 || runs.Logs > Runnable.MostLogs))
                its.Add(new(RefusalCode.SizeInvalid, $"'{runs.Name}' cannot keep {runs.Logs} of logs; a node keeps some, and at most {Runnable.MostLogs}.", "Leave 'logs' out to keep 1MiB."), "logs");
            if (workload is Container container)
                CheckContainer(container, terms, its);
            if (workload is Volume volume && volume.Size < Volume.Smallest)
                its.Add(new(RefusalCode.SizeInvalid, $"The volume '{volume.Name}' has {volume.Size}; the smallest has {Volume.Smallest}."), "size");
            if (workload is Volume { Form: VolumeForm.Disk } disk && disk.Size.Value % Volume.DiskPage != 0)
                its.Add(new(RefusalCode.SizeInvalid, $"The disk '{disk.Name}' has {disk.Size}; a disk has whole pages of {Volume.DiskPage} bytes."), "size");
        }
        MachineRules.Check(terms, found);
        NetworkRules.Check(terms, found);
        GatewayRules.Check(terms, found);
        AddressRules.Check(terms, found);
        return found.ToImmutable();
    }

    /// <summary>What version n+1 may not do to version n.</summary>
    public static ImmutableArray<Refusal> CheckAmendment(AgreementTerms before, AgreementTerms after)
    {
        var found = new Findings();
        if (after.User != before.User)
            found.Add(new(RefusalCode.NotAParty, "An amendment cannot change the user.", "Make a new agreement."));
        if (after.Version != before.Version + 1)
            found.Add(new(RefusalCode.Conflict, $"Version {before.Version} is in force; the next is {before.Version + 1}, not {after.Version}."));
        foreach (var (was, becomes) in before.Workloads.Join(after.Workloads, w => w.Name, w => w.Name, (was, becomes) => (was, becomes)).Where(p => p.was.Kind != p.becomes.Kind))
            found.Of(becomes).Add(new(RefusalCode.UnsupportedKind, $"'{was.Name}' is a {was.Kind}; it cannot become a {becomes.Kind}.", "Give the new one another name."), "kind");
        foreach (var volume in before.Workloads.OfType<Volume>())
        {
            if (after.Workloads.OfType<Volume>().FirstOrDefault(v => v.Name == volume.Name) is not { } next)
                continue;
            if (next.Size < volume.Size)
                found.Of(next).Add(new(RefusalCode.VolumeShrink, $"The volume '{volume.Name}' has {volume.Size}; it cannot shrink to {next.Size}."), "size");
            if (next.Media != volume.Media || next.Node != volume.Node || next.Form != volume.Form)
                found.Of(next).Add(new(RefusalCode.VolumeShrink, $"The volume '{volume.Name}' cannot move to another medium, node or form.", "Add a new volume and copy."), next.Media != volume.Media ? "media" : next.Node != volume.Node ? "node" : "form");
        }
        return found.ToImmutable();
    }

    private static void CheckParties(AgreementTerms terms, Findings found)
    {
        var nodes = new HashSet<NodeId>();
        foreach (var node in terms.Nodes)
        {
            if (!nodes.Add(node))
                found.Add(new(RefusalCode.UnresolvedNode, $"The node {node} is brought by two farms."));
            if (!terms.On(node).Any())
                found.Add(new(RefusalCode.UnresolvedNode, $"Nothing runs on {node}.", "Leave the node out."));
        }
        if (!terms.Money.Parts.Select(p => p.Farm).SequenceEqual(terms.Farms.Select(f => f.Farm)))
            found.Add(new(RefusalCode.PriceMismatch, "The money has one part for each farm, no more and no fewer."));
        else if (terms.Money.Parts.Aggregate(Money.Zero, (sum, p) => sum + p.Rate) != terms.Money.RatePerSecond)
            found.Add(new(RefusalCode.PriceMismatch, $"The rate {terms.Money.RatePerSecond} per second is not the sum of its parts."));
    }

    private static void CheckTerm(Term term, Findings found)
    {
        if (term.ConvergeBy <= term.AnswerBy)
            found.Add(new(RefusalCode.TermInvalid, "'convergeBy' must be later than 'answerBy'."), "convergeBy");
        if (term.End is { } end && (end <= term.ConvergeBy || end <= (term.Start ?? DateTimeOffset.MinValue)))
            found.Add(new(RefusalCode.TermInvalid, "'end' must be later than 'start' and 'convergeBy'."), "end");
        if (term.Start is { } start && start >= term.ConvergeBy)
            found.Add(new(RefusalCode.TermInvalid, "'start' must be earlier than 'convergeBy'."), "start");
        if (term.Offline.Pause && term.Offline.After < Offline.Shortest)
            found.Add(new(RefusalCode.TermInvalid, $"A node cannot know within {term.Offline.After.TotalSeconds:0} s that the ledger is away.", $"Let 'offline' begin after {Offline.Shortest.TotalSeconds:0} s or more."), "offline");
    }

    private static void CheckContainer(Container container, AgreementTerms terms, Findings found)
    {
        var name = container.Name;
        if (container.Cpu.Value <= 0 || container.Memory < SmallestMemory || container.Pids < 1)
            found.Add(new(RefusalCode.SizeInvalid, $"'{name}' needs cpu, at least {SmallestMemory} of memory and at least one process."), container.Cpu.Value <= 0 ? "cpu" : container.Memory < SmallestMemory ? "memory" : "pids");
        if (container.Restart.First <= TimeSpan.Zero || container.Restart.Max < container.Restart.First)
            found.Add(new(RefusalCode.TermInvalid, $"'{name}' restarts with a first wait above zero and a largest wait not below it."), "restart");
        if (container.Health is { } health)
            HealthRules.Check(name, health, found);
        foreach (var (field, path) in container.Mounts.Select(m => ("mounts", m.Path)).Concat(container.Scratch.Select(s => ("scratch", s.Path))).Append(("entry", container.Entry)).Append(("workdir", container.WorkDir)))
        {
            if (!IsPlainPath(path))
                found.Add(new(RefusalCode.PathInvalid, $"'{path}' in '{name}' is not an absolute path without '.', '..', empty parts or control characters."), field, path);
        }

        var mounted = container.MountPoints.ToList();
        foreach (var (field, path) in mounted)
        {
            if (path == "/" || ReservedPaths.Any(r => Contains(r, path)))
                found.Add(new(RefusalCode.HostAccess, $"'{name}' cannot have a place of its own at '{path}'."), field, path);
            if (mounted.Count(p => Contains(path, p.Path)) > 1)
                found.Add(new(RefusalCode.PathInvalid, $"'{path}' in '{name}' is mounted twice or holds another mount."), field, path);
            if (Contains(path, container.Entry))
                found.Add(new(RefusalCode.ExecFromWritable, $"The entry '{container.Entry}' of '{name}' would lie in '{path}', of which the flist says nothing."), "entry");
        }
        foreach (var mount in container.Mounts)
        {
            if (terms.On(container.Node).OfType<Volume>().FirstOrDefault(v => v.Name == mount.Volume) is { } volume)
                MachineRules.CheckForm(name, volume, VolumeForm.Files, mount.Path, found);
            else
                found.Add(new(RefusalCode.UnresolvedVolume, $"'{name}' mounts the volume '{mount.Volume}', which is not on its node."), "mounts", mount.Path);
        }
        foreach (var scratch in container.Scratch)
        {
            if (scratch.Size.Value <= 0 || scratch.Size > container.Memory)
                found.Add(new(RefusalCode.SizeInvalid, $"The scratch '{scratch.Path}' of '{name}' must be above zero and within the memory of {container.Memory}."), "scratch", scratch.Path);
        }
        foreach (var (key, value) in container.Environment)
        {
            if (key.Length == 0 || key.Contains('=') || HasControl(key) || value.Contains('\0'))
                found.Add(new(RefusalCode.NameInvalid, $"'{key}' in '{name}' is not a name for an environment variable."), "env", key);
            if (IsPlaceholder(value))
                found.Add(new(RefusalCode.EnvPlaceholder, $"The variable '{key}' of '{name}' is left to be filled in at run time: '{value}'.", "Write the value itself."), "env", key);
            // The loader would take code from wherever these point; the flist already says what is loaded.
            if (key is "LD_PRELOAD" or "LD_AUDIT")
                found.Add(new(RefusalCode.LibraryNotDescribed, $"'{name}' may not set {key}: what is loaded is what the flist says."), "env", key);
        }
        SecretRules.Check(container, found);
        foreach (var argument in container.Args)
        {
            if (IsPlaceholder(argument))
                found.Add(new(RefusalCode.EnvPlaceholder, $"An argument of '{name}' is left to be filled in at run time: '{argument}'.", "Write the value itself."), "args", argument);
            if (argument.Contains('\0'))
                found.Add(new(RefusalCode.Malformed, $"An argument of '{name}' holds a zero byte."), "args", argument);
        }
    }

    /// <summary>True when the path is the directory itself or lies below it.</summary>
    public static bool Contains(string directory, string path) =>
        path == directory || (path.StartsWith(directory, StringComparison.Ordinal) && path.Length > directory.Length && path[directory.Length] == '/');

    internal static bool IsPlainPath(string path) => path == "/"
        || (path.StartsWith('/') && path.Length <= Container.MaximumPath && !HasControl(path)
            && path[1..].Split('/').All(part => part is not ("" or "." or "..") && part.Length <= 255));

    private static bool HasControl(string text) => text.Any(char.IsControl);

    // ${NAME}, {{name}} and <NAME> are how the field's templating leaves a hole.
    internal static bool IsPlaceholder(string value)
    {
        var text = value.Trim();
        return Has(text, "${", "}") || Has(text, "{{", "}}") || (text.Length > 2 && text[0] == '<' && text[^1] == '>' && !text.Contains(' '));
    }

    private static bool Has(string text, string open, string close)
    {
        var at = text.IndexOf(open, StringComparison.Ordinal);
        return at >= 0 && text.IndexOf(close, at + open.Length, StringComparison.Ordinal) > at;
    }
}
