using Grid.Units;

namespace Grid.Node.Containers;

/// <summary>
/// What a container is called everywhere on the machine: <c>agr1….workload</c>. It is the runtime's id and the name of the cgroup,
/// so that agreement and workload can be read back from the kernel alone.
/// </summary>
public readonly record struct ContainerId(AgreementId Agreement, string Workload)
{
    public const int MaximumWorkload = 36;

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

    public override string ToString() => $"{Agreement}.{Workload}";

    private static readonly System.Buffers.SearchValues<char> Letters = System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-");
}
