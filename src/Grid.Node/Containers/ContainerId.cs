using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Containers;

/// <summary>
/// What a container is called everywhere on the machine: <c>agr1….workload</c>. It is the runtime's id and the name of the cgroup,
/// so that agreement and workload can be read back from the kernel alone.
/// </summary>
public readonly record struct ContainerId(AgreementId Agreement, string Workload)
{
    public const int MaximumWorkload = 36;

    public static ContainerId Of(WorkloadKey key) => new(key.Agreement, key.Name);

    public WorkloadKey Key => new(Agreement, Workload);

    public static bool TryParse(ReadOnlySpan<char> text, out ContainerId id)
    {
        id = default;
        var dot = text.IndexOf('.');
        if (dot < 0 || text.Length - dot - 1 is < 1 or > MaximumWorkload || text[(dot + 1)..].ContainsAnyExcept(Letters))
            return false;
        if (!Id.TryParse<AgreementId>(text[..dot].ToString(), out var agreement))
            return false;
        id = new ContainerId(agreement, text[(dot + 1)..].ToString());
        return true;
    }

    /// <summary>The containers after which directories are named here; none where there is no such directory.</summary>
    public static IEnumerable<ContainerId> NamedIn(string directory)
    {
        if (!Directory.Exists(directory))
            yield break;
        foreach (var entry in Directory.EnumerateDirectories(directory))
        {
            if (TryParse(Path.GetFileName(entry), out var id))
                yield return id;
        }
    }

    public override string ToString() => $"{Agreement}.{Workload}";

    private static readonly System.Buffers.SearchValues<char> Letters = System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-");
}
