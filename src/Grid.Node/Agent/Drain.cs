using System.Collections.Concurrent;
using Grid.Client;
using Grid.Nodes;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>
/// What is broken of this node, a disk that errs say, and the word to the ledger that nothing new shall come until it is not. What was said is kept in
/// a file, so that the word is taken back by the agent that finds it mended.
/// </summary>
internal sealed partial class Drain(string path, LedgerClient ledger, NodeVoice voice, ILogger log)
{
    private readonly ConcurrentDictionary<object, string> _broken = new();
    private volatile bool _tried;

    /// <summary>What is broken of this node, the first by the alphabet; null when nothing is known to be.</summary>
    public string? Why => _broken.Values.Order(StringComparer.Ordinal).FirstOrDefault();

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

    /// <summary>Says what is new, if the ledger can be reached.</summary>
    public async Task TellAsync(CancellationToken cancel)
    {
        var told = File.Exists(path) ? await File.ReadAllTextAsync(path, cancel) : null;
        var why = Why is { } first ? Cut(first) : null;
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

    private static string Cut(string text) => text.Length <= DrainNode.LongestReason / 4 ? text : text[..(DrainNode.LongestReason / 4)];

    [LoggerMessage(Level = LogLevel.Warning, Message = "That this node drains was not taken: {Code}: {Detail}")]
    private partial void NotTaken(string code, string detail);
}
