using System.Collections.Immutable;
using Grid.Workloads;

namespace Grid.Agreements;

/// <summary>What the static rules found, each with the part of the terms that it is about.</summary>
internal sealed class Findings
{
    private readonly ImmutableArray<Refusal>.Builder _found;
    private readonly string? _workload;

    public Findings() : this(ImmutableArray.CreateBuilder<Refusal>(), null)
    {
    }

    private Findings(ImmutableArray<Refusal>.Builder found, string? workload)
    {
        (_found, _workload) = (found, workload);
    }

    /// <summary>The same findings; what is added to them here is about this workload.</summary>
    public Findings Of(Workload workload) => new(_found, workload.Name);

    /// <param name="field">of the workload or, outside any, of the term, as the terms call it</param>
    /// <param name="item">which one, in a field that holds several: a path, a variable, a network</param>
    public void Add(Refusal refusal, string? field = null, string? item = null) =>
        _found.Add(_workload is null && field is null ? refusal : refusal with { About = new About(_workload, field, item) });

    public ImmutableArray<Refusal> ToImmutable() => _found.ToImmutable();
}
