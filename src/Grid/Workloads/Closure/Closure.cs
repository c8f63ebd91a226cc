using System.Collections.Immutable;
using Grid.Flists;
using Grid.Machines;
using Grid.Units;

namespace Grid.Workloads;

/// <summary>
/// The static rules that need the flist's files: a container's entry, its interpreters and every library they are linked with are files of the flist
/// (RULES.md beside this), and so are a machine's kernel and initial RAM disk. The draft tool, the ledger and every node call this same function, so limits and verdict are the same for all.
/// </summary>
public static class Closure
{
    /// <summary>
    /// Examines as far as the chunks reach. Pure: the same chunks give the same answer, and the verdict does not depend on which others were given too.
    /// </summary>
    /// <param name="chunks">content by hash; the caller has checked that each hashes to its key</param>
    /// <returns><see cref="Examination.Needs"/> until enough is there; every one names at least one chunk that the verdict depends on</returns>
    public static Examination Examine(
        Runnable workload, MetaFile meta, IReadOnlyDictionary<Digest, ReadOnlyMemory<byte>> chunks, ClosureLimits? limits = null)
    {
        var evidence = new Evidence(meta, chunks, limits ?? ClosureLimits.Default);
        var refusals = new RefusalSet(workload);
        var files = new SortedSet<string>(StringComparer.Ordinal);
        switch (workload)
        {
            case Container container:
                MountPoints.Check(container, meta, refusals);
                new Execution(container, new ContainerRoot(container, evidence), evidence, refusals, files).Run();
                break;
            case Machine machine:
                new BootFiles(machine, evidence, refusals, files).Check();
                break;
            default:
                throw new System.Diagnostics.UnreachableException(workload.Kind);
        }
        if (evidence.Missing.Count > 0)
            return new Examination.Needs([.. evidence.Missing]);
        // After a fault nothing more was looked at: what seemed absent then may be there.
        if (evidence.Fault is { } fault)
            return new Examination.Refused([fault with { About = OfFlist(workload) }]);
        return refusals.IsEmpty
            ? new Examination.Complete([.. files.Select(RawPath.Show)])
            : new Examination.Refused(refusals.ToImmutable());
    }

    /// <summary>Asks for what is needed until there is a verdict.</summary>
    /// <param name="fetch">the content of a chunk, checked against its hash; null when it cannot be had, which is refused as flist-incomplete</param>
    public static Examination Examine(Runnable workload, MetaFile meta, Func<Digest, ReadOnlyMemory<byte>?> fetch, ClosureLimits? limits = null)
    {
        var chunks = new Dictionary<Digest, ReadOnlyMemory<byte>>();
        while (true)
        {
            var examination = Examine(workload, meta, chunks, limits);
            if (examination is not Examination.Needs needs)
                return examination;
            foreach (var hash in needs.Chunks)
            {
                if (fetch(hash) is not { } chunk)
                    return new Examination.Refused([new(RefusalCode.FlistIncomplete, $"The chunk {hash} of the flist cannot be had.") { About = OfFlist(workload) }]);
                chunks.Add(hash, chunk);
            }
        }
    }

    private static About OfFlist(Runnable workload) => new(workload.Name, "flist");
}

/// <summary>What an examination came to.</summary>
public abstract record Examination
{
    private Examination()
    {
    }

    /// <summary>Every rule holds.</summary>
    /// <param name="Files">
    /// absolute paths without links of every program, script, interpreter and library, or of kernel and initial RAM disk, sorted; bytes that are no text are written \xNN
    /// </param>
    public sealed record Complete(ImmutableArray<string> Files) : Examination;

    /// <summary>At least one rule is broken; all that were found, in the order in which a start would meet them.</summary>
    public sealed record Refused(ImmutableArray<Refusal> Refusals) : Examination;

    /// <summary>Call again with these too.</summary>
    public sealed record Needs(ImmutableHashSet<Digest> Chunks) : Examination;
}

/// <summary>
/// What one examination may take. Whoever agrees must agree on these as well: other limits may give another verdict.
/// </summary>
/// <param name="Chunks">distinct chunks that are read</param>
/// <param name="Bytes">their bytes in all</param>
/// <param name="Files">programs and libraries, each counted once for every program that loads it</param>
/// <param name="Depth">libraries that want one another in a row</param>
/// <param name="Steps">names looked up in directories; a program with 200 libraries takes some 6,000</param>
public sealed record ClosureLimits(int Chunks, long Bytes, int Files, int Depth, int Steps)
{
    public static readonly ClosureLimits Default = new(Chunks: 4096, Bytes: 128 << 20, Files: 1000, Depth: 64, Steps: 100_000);
}

/// <summary>Refusals of one workload in order, each once.</summary>
internal sealed class RefusalSet(Runnable workload)
{
    private const int Most = 100;
    private readonly List<Refusal> _found = [];

    public bool IsEmpty => _found.Count == 0;

    /// <param name="field">null: where a container's program begins; all of a machine</param>
    public void Add(string code, string detail, string? next = null, string? field = null, string? item = null)
    {
        var refusal = new Refusal(code, detail, next) { About = new About(workload.Name, field ?? (workload is Container ? "entry" : null), item) };
        if (_found.Count < Most && !_found.Contains(refusal))
            _found.Add(refusal);
    }

    public ImmutableArray<Refusal> ToImmutable() => [.. _found];
}
