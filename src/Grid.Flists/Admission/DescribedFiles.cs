using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Flists.Hub;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Flists.Admission;

/// <summary>
/// Whether the files that an agreement's workloads will execute are described by their flists, whole, and at a hub. The rules are the model's
/// (<see cref="Closure"/>); this fetches what they ask to see. The draft tool, the ledger and every node call it.
/// </summary>
public sealed class DescribedFiles(HubClient hubs)
{
    private static readonly SourceLimits Limits = new();

    /// <summary>Every rule that what runs among <paramref name="workloads"/> break; empty when they keep them.</summary>
    /// <exception cref="HubException">no hub could be asked now; nothing is said about the agreement</exception>
    public async Task<ImmutableArray<Refusal>> CheckAsync(IEnumerable<Workload> workloads, CancellationToken cancel)
    {
        var found = ImmutableArray.CreateBuilder<Refusal>();
        foreach (var group in workloads.OfType<Runnable>().GroupBy(w => w.Flist).OrderBy(g => g.Key.Value))
        {
            var where = new About(group.First().Name, "flist");
            try
            {
                using var source = await FlistSource.OpenAsync(group.Key, hubs, Limits, cancel);
                foreach (var workload in group)
                    found.AddRange(await ExamineAsync(workload, source, cancel));
                if (found.Count == 0 && await source.ProveCompleteAsync(cancel) is { } incomplete)
                    found.Add(incomplete with { About = where });
            }
            catch (HubException e) when (e.Failure is HubFailure.NotFound)
            {
                found.Add(new Refusal(RefusalCode.FlistIncomplete, $"No hub has all of the flist {group.Key}: {e.Message}", "Push it first.") { About = where });
            }
            catch (HubException e) when (e.Failure is HubFailure.WrongBytes)
            {
                found.Add(new Refusal(RefusalCode.FlistInvalid, $"What the hubs give for the flist {group.Key} is not it: {e.Message}") { About = where });
            }
            catch (FlistFormatException e)
            {
                found.Add(new Refusal(RefusalCode.FlistInvalid, $"The flist {group.Key} is malformed: {e.Message}") { About = where });
            }
        }
        return found.ToImmutable();
    }

    private static async Task<ImmutableArray<Refusal>> ExamineAsync(Runnable workload, FlistSource source, CancellationToken cancel)
    {
        var chunks = new Dictionary<Digest, ReadOnlyMemory<byte>>();
        while (true)
        {
            switch (Closure.Examine(workload, source.Meta, chunks))
            {
                case Examination.Needs(var wanted):
                    foreach (var chunk in wanted)
                        chunks[chunk] = await source.ReadChunkAsync(chunk, cancel);
                    break;
                case Examination.Refused(var refusals):
                    return refusals;
                default:
                    return [];
            }
        }
    }
}
