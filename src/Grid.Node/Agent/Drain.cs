using System.Collections.Concurrent;
using Grid.Client;
using Grid.Nodes;
using Grid.Reconciliation;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>
/// What is broken of this node, a disk that errs say, and the word to the ledger that nothing new shall come until it is not. What was said is kept in
/// a file, so that the word is taken back by the agent that finds it mended.
/// </summary>
internal sealed partial class Drain(string path, LedgerClient ledger, NodeVoice voice, ILogger log)
{
    private readonly ConcurrentDictionary<object, string> _broken = new();
    private volatile string[] _erring = [];
    private volatile bool _tried;

    /// <summary>What is broken of this node, the first by the alphabet; null when nothing is known to be.</summary>
    public string? Why => _broken.Values.Concat(_erring).Order(StringComparer.Ordinal).FirstOrDefault();

    /// <summary>Something was tried.</summary>
    /// <param name="thing">what, the same the next time</param>
    /// <param name="why">what is broken; null when it worked</param>
    public void Note(object thing, string? why)
    {
        _tried = true;
        if (why is null)
            _broken.TryRemove(thing, out _);
        else
            _broken[thing] = why;
    }

    /// <summary>The disks were looked at.</summary>
    /// <param name="moving">what was being changed meanwhile, and may have been seen half done</param>
    public void Note(Observed observed, IReadOnlySet<object> moving)
    {
        var volumes = observed.Volumes.Where(v => !moving.Contains(v.Key) && v.Value.Why() is not null).Select(v => $"the volume {v.Key}: {v.Value.Why()}");
        _erring = [.. volumes, .. new[] { observed.VolumesUnseen, observed.DiskFault }.OfType<string>()];
        _tried |= _erring.Length > 0;
    }

    /// <summary>
    /// A whole look found nothing to be done, and nothing that waits to be tried again. What was broken is mended, or nobody here wants it any more; and as long as
    /// nothing new comes, nothing would ever be tried.
    /// </summary>
    public void Rest()
    {
        _tried = true;
        _broken.Clear();
    }

    /// <summary>Says what is new, if the ledger can be reached.</summary>
    public async Task TellAsync(CancellationToken cancel)
    {
        var told = File.Exists(path) ? await File.ReadAllTextAsync(path, cancel) : null;
        var why = Why is { } first ? Reason.Cut(first, DrainNode.LongestReason) : null;
        // An agent that has tried nothing yet knows nothing: it takes nothing back.
        if (why == told || (why is null && !_tried))
            return;
        try
        {
            var answer = await ledger.SubmitAsync(voice.Say(new DrainNode(voice.Node, why is not null, why ?? "")), cancel);
            if (!answer.Try(out _, out var refusal) && refusal.Code != RefusalCode.AlreadySo)
                NotTaken(refusal.Code, refusal.Detail);
            else if (why is null)
                File.Delete(path);
            else
                await File.WriteAllTextAsync(path, why, cancel);
        }
        catch (LedgerUnreachableException)
        {
            // Said with the next receipts.
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "That this node drains was not taken: {Code}: {Detail}")]
    private partial void NotTaken(string code, string detail);
}
