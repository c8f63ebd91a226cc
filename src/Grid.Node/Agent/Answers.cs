using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Client;
using Grid.Flists.Admission;
using Grid.Flists.Hub;
using Grid.Networks;
using Grid.Node.Gateways;
using Grid.Node.Secrets;
using Grid.Node.Volumes;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>
/// Answers agreed versions: ready when the node itself found nothing against it, refused with the code of what it found. It believes neither the
/// ledger's rules nor its own earlier self: everything is checked here again.
/// </summary>
internal sealed partial class Answers(LedgerClient ledger, DescribedFiles files, ImmutableArray<string> kinds, NodeSecrets secrets, Tunnels? tunnels, VolumeHost? volumes, DomainProofs proofs, NodeVoice voice, Capacity available, TimeProvider time, ILogger log)
{
    /// <summary>So long the ledger is not listened to while what it wants answered is examined.</summary>
    public static readonly TimeSpan LongestTurn = TimeSpan.FromSeconds(10);

    private readonly FileExaminations _files = new(files, time);

    // In which turn an agreement was last examined and could not be answered, by the count of turns.
    private readonly Dictionary<AgreementId, int> _late = [];
    private int _turns;

    // Ports that were published, or found to be in use, a moment ago; the feed does not say so yet.
    private readonly HashSet<int> _ports = [];

    /// <summary>True when some version could not be answered yet.</summary>
    public bool Waiting { get; private set; }

    /// <summary>Why an agreement could not be answered yet, with the code that it may come to be refused with.</summary>
    public ImmutableDictionary<AgreementId, string> Unanswered { get; private set; } = ImmutableDictionary<AgreementId, string>.Empty;

    /// <summary>Completes when nothing is examined any more.</summary>
    public Task Ended => _files.Ended;

    /// <param name="isAhead">true of one that was agreed after what is known of the others: it is asked for again when they are known</param>
    /// <param name="patience">how long examining may take now, at most <see cref="LongestTurn"/>; what takes longer goes on, and is answered in another turn</param>
    /// <returns>true when something was answered, or there is something new to say of why not</returns>
    public async Task<bool> AnswerAsync(IReadOnlyList<Agreement> agreements, Predicate<AgreementId> isAhead, TimeSpan patience, CancellationToken cancel)
    {
        if (!Waiting)
            _ports.Clear();
        var answered = Waiting = false;
        var unanswered = ImmutableDictionary.CreateBuilder<AgreementId, string>();
        // With what was answered a moment ago and the feed does not say yet.
        var promised = agreements.SelectMany(a => VolumePromises.Of(a, voice.Node)).ToList();
        using var turn = new CancellationTokenSource(patience < LongestTurn ? patience : LongestTurn, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(turn.Token, cancel);
        var names = agreements.SelectMany(a => a.HeldNames.Select(n => (Name: n, a.Id))).ToLookup(n => n.Name, n => n.Id);
        foreach (var (agreement, version) in Begin(agreements, isAhead, names, promised, cancel))
        {
            var began = !turn.IsCancellationRequested;
            using var span = NodeTrace.Begin("answer agreement", agreement.Id);
            try
            {
                var refusal = await ExamineAsync(version, agreements, agreement, names, promised, either.Token, cancel);
                span.Ended(refusal, failed: false);
                var ends = refusal is null ? tunnels?.EndsFor(agreement, version, voice.Node, agreements, _ports) ?? TunnelEnds.None : TunnelEnds.None;
                Body body = refusal is null
                    ? new WorkloadReady(agreement.Id, version.Id, ends)
                    : new WorkloadRefused(agreement.Id, version.Id, refusal.Code, Reason.Cut(refusal.Next is null ? refusal.Detail : $"{refusal.Detail} {refusal.Next}", WorkloadRefused.LongestDetail));
                var answer = await ledger.SubmitAsync(voice.Say(body), cancel);
                if (answer.Try(out _, out var no) || no.Code == RefusalCode.AlreadySo)
                    Answered(agreement.Id, version.Terms.Version, refusal?.Code ?? "ready");
                else
                    NotTaken(agreement.Id, no.Code, no.Detail);
                // The ledger may know of an agreement that this node lost and could not fetch again yet: other ports are chosen, soon.
                Waiting |= no?.Code == RefusalCode.PortConflict;
                _ports.UnionWith(ends.Tunnels.Select(t => t.Port));
                if (refusal is null)
                    promised.Add((agreement.Id, version.Terms));
                answered = true;
            }
            catch (Exception e) when (e is HubException or TimeoutException or LedgerUnreachableException or DnsUnreachableException)
            {
                // Nothing was found against it and nothing for it: asked again at the next look, until answerBy.
                Waiting = true;
                if (began)
                    _late[agreement.Id] = _turns;
                var why = e is HubException or TimeoutException ? new Refusal(RefusalCode.FlistIncomplete, e.Message).ToString() : e.Message;
                unanswered[agreement.Id] = why;
                answered |= Unanswered.GetValueOrDefault(agreement.Id) != why;
                NotYet(agreement.Id, e.Message);
            }
        }
        Unanswered = unanswered.ToImmutable();
        return answered;
    }

    // The version that waits for this node's word.
    private Agreements.Version? Asked(Agreement agreement) => agreement switch
    {
        Agreement.Agreed a when a.Version.Terms.Nodes.Contains(voice.Node) && !a.ReadyNodes.Contains(voice.Node) => a.Version,
        Agreement.InForce { Amendment: Amendment.Agreed n } when n.Version.Terms.Nodes.Contains(voice.Node) && !n.ReadyNodes.Contains(voice.Node) => n.Version,
        _ => null,
    };

    // What is to be answered in this turn: who was late in an earlier one comes after the others. Their files are looked at from now on, all of them.
    private List<(Agreement Agreement, Agreements.Version Version)> Begin(
        IReadOnlyList<Agreement> agreements, Predicate<AgreementId> isAhead, ILookup<string, AgreementId> names, List<(AgreementId, AgreementTerms)> promised, CancellationToken cancel)
    {
        _turns++;
        var asked = agreements.Select(a => (Agreement: a, Version: Asked(a)!)).Where(a => a.Version is not null).OrderBy(a => _late.GetValueOrDefault(a.Agreement.Id)).ToList();
        foreach (var over in _late.Keys.Except(asked.Select(a => a.Agreement.Id)).ToList())
            _late.Remove(over);
        _files.Keep(asked.Select(a => a.Version.Id));
        foreach (var (agreement, version) in asked)
        {
            if (Examine(version.Terms, agreements, agreement, names, promised) is null)
                _files.Begin(version.Id, Mine(version), cancel);
        }
        Waiting = asked.RemoveAll(a => isAhead(a.Agreement.Id)) > 0;
        return asked;
    }

    private async Task<Refusal?> ExamineAsync(
        Agreements.Version version, IReadOnlyList<Agreement> agreements, Agreement self, ILookup<string, AgreementId> names, IEnumerable<(AgreementId, AgreementTerms)> promised, CancellationToken turn, CancellationToken cancel)
    {
        if (Examine(version.Terms, agreements, self, names, promised) is { } found)
            return found;
        try
        {
            if (await proofs.CheckAsync(version.Terms, voice.Node, self.IsInForce ? self.Version.Terms : null, turn) is { } unproven)
                return unproven;
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw new DnsUnreachableException("Its names are not proven yet: a name server is slow.", e);
        }
        return await _files.ResultAsync(version.Id, Mine(version), turn, cancel);
    }

    private List<Workload> Mine(Agreements.Version version) => [.. version.Terms.On(voice.Node)];

    // What is found without asking anybody. By names: which agreements hold each.
    private Refusal? Examine(AgreementTerms terms, IReadOnlyList<Agreement> agreements, Agreement self, ILookup<string, AgreementId> names, IEnumerable<(AgreementId, AgreementTerms)> promised)
    {
        if (self is Agreement.InForce { Version.Terms: var before } && AgreementRules.CheckAmendment(before, terms) is [var changed, ..])
            return changed;
        if (AgreementRules.Check(terms) is [var broken, ..])
            return broken;
        var mine = terms.On(voice.Node).ToList();
        if (terms.KindsOn(voice.Node).FirstOrDefault(k => !kinds.Contains(k)) is { } kind)
            return new Refusal(RefusalCode.UnsupportedKind, $"This node has no {kind}.");
        AgreementId? Holder(string name) => names[name].Where(id => id != self.Id).Select(id => (AgreementId?)id).FirstOrDefault();
        // What has ended holds nothing, though it may still be taken down here: whoever comes after it waits for that.
        if (terms.Gateways.Select(g => Taken.Name(g, Holder(g.Hostname))).Concat(terms.Addresses.Select(a => Taken.Address(a, Holder($"{a.Ip}")))).FirstOrDefault(r => r is not null) is { } taken)
            return taken;
        var held = agreements.Where(a => a.Id != self.Id).Aggregate(Capacity.None, (sum, a) => sum + a.HeldOn(voice.Node));
        var own = self.IsInForce ? self.Version.Terms.DemandOn(voice.Node) : Capacity.None;
        if (Taken.Room(voice.Node, available, held, own, terms) is { } full)
            return full;
        if (volumes?.Examine(VolumePromises.Of([(self.Id, terms)], voice.Node), VolumePromises.Of(promised, voice.Node)) is { } unplaced)
            return unplaced;
        return secrets.Examine(terms.User, mine);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Agreement {Agreement} version {Version}: {Answer}")]
    private partial void Answered(AgreementId agreement, int version, string answer);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The answer to {Agreement} was not taken: {Code}: {Detail}")]
    private partial void NotTaken(AgreementId agreement, string code, string detail);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Agreement {Agreement} cannot be answered yet: {Why}")]
    private partial void NotYet(AgreementId agreement, string why);
}
