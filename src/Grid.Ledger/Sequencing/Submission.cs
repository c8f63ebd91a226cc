using System.Collections.Immutable;
using System.Diagnostics;
using Grid.Ledger.Store;
using Grid.Log;
using Grid.Statements;

namespace Grid.Ledger.Sequencing;

/// <summary>A statement on its way, with whoever waits for it; or neither, which only wakes the sequencer.</summary>
internal sealed class Submission(Statement? statement)
{
    public static readonly Submission Wake = new(null);

    private readonly TaskCompletionSource<Outcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Statement? Statement { get; } = statement;

    /// <summary>Where its caller's trace stands; nothing when nobody traces it.</summary>
    public ActivityContext Trace { get; init; }

    public Task<Outcome> Outcome => _outcome.Task;

    public void Answer(Outcome outcome) => _outcome.TrySetResult(outcome);
}

/// <summary>What the sequencer says; the caller computes its proof itself, off the sequencer's thread.</summary>
internal abstract record Outcome
{
    /// <param name="Snapshot">durable, with the entry in it</param>
    /// <param name="Entry">null when it is an older one, to be read from the store</param>
    public sealed record Recorded(long Index, Entry? Entry, bool Known, Snapshot Snapshot) : Outcome;

    public sealed record Refused(Refusal Refusal) : Outcome;

    public sealed record Unknown(string Detail) : Outcome;
}

/// <summary>What was decided and is not yet durable.</summary>
internal sealed class Pending(Tentative before)
{
    private readonly List<(Submission Submission, Func<Snapshot, Outcome> Outcome)> _answers = [];
    private readonly ImmutableArray<Happened>.Builder _entries = ImmutableArray.CreateBuilder<Happened>();
    private List<(Submission Submission, Happened Happened)>? _traced;

    public Tentative Tentative { get; private set; } = before;

    public int Count => _answers.Count;

    public IEnumerable<Submission> Submissions => _answers.Select(a => a.Submission);

    public bool HasEntries => _entries.Count > 0;

    public ImmutableArray<Happened> Entries => _entries.ToImmutable();

    /// <summary>Those of the entries whose callers are traced.</summary>
    public IEnumerable<(Submission Submission, Happened Happened)> Traced => _traced ?? [];

    public void Record(Submission submission, Happened happened, Tentative after)
    {
        Tentative = after;
        _entries.Add(happened);
        if (submission.Trace != default)
            (_traced ??= []).Add((submission, happened));
        Defer(submission, snapshot => new Outcome.Recorded(happened.Entry.Index, happened.Entry, Known: false, snapshot));
    }

    // Even a refusal waits: it may rest on an entry that is not durable yet.
    public void Defer(Submission submission, Func<Snapshot, Outcome> outcome) => _answers.Add((submission, outcome));

    public void Answer(Snapshot durable)
    {
        foreach (var (submission, outcome) in _answers)
            submission.Answer(outcome(durable));
    }

    public void AnswerUnknown(string detail)
    {
        foreach (var (submission, _) in _answers)
            submission.Answer(new Outcome.Unknown(detail));
    }
}
