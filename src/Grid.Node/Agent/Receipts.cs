using System.Collections.Immutable;
using System.Globalization;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Client;
using Grid.Gateways;
using Grid.Reconciliation;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>
/// Signs what the node did, on every change and every five minutes, and delivers it in order. What cannot be delivered waits on disk until the ledger has
/// said its last word of it, at most <see cref="MaximumWaiting"/>; beyond that the oldest is given up and said, for a missing receipt costs the farmer and
/// nobody else. A new agent goes on where the one before it left off.
/// </summary>
/// <param name="directory">where they wait</param>
/// <param name="state">where <see cref="ReceiptState"/> is kept</param>
internal sealed partial class Receipts(
    string directory, string state, LedgerClient ledger, LedgerContact contact, NodeVoice voice, WorkloadSight sight, Meter meter, TimeProvider time, ILogger log)
{
    public const int MaximumWaiting = 10_000;

    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(5);

    // What memory was held since, a killed agent leaves out; and what began and was not looked at yet.
    private static readonly TimeSpan KeepEvery = TimeSpan.FromSeconds(10);

    private readonly Dictionary<AgreementId, Told> _told = [];
    private readonly Queue<(Statement Receipt, AgreementId Agreement, string Picture)> _signed = [];
    private long? _keptAt;
    private long _next = -1;

    /// <summary>Reads what the agent before this one left.</summary>
    public void Restore()
    {
        var before = ReceiptState.Read(state);
        meter.Restore(before.Counted);
        foreach (var told in before.Told)
        {
            if (Id.TryParse<AgreementId>(told.Agreement, out var agreement) && Id.TryParse<StatementId>(told.Version, out var version))
                _told[agreement] = new Told(told.Picture, told.At, version) { IsRestored = true };
        }
    }

    /// <summary>Writes a receipt for each agreement whose picture changed or whose interval is over.</summary>
    /// <returns>agreements that are over and whose last workload is gone, with that told</returns>
    public ImmutableArray<AgreementId> Write(IEnumerable<Agreement> agreements, Observed observed)
    {
        var finished = ImmutableArray.CreateBuilder<AgreementId>();
        meter.Look(observed);
        // What a full disk had no room for the last time comes first, and until then nothing more is signed.
        if (_signed.Count > 0)
            Keep();
        foreach (var agreement in agreements)
        {
            var mine = agreement.Version.Terms.On(voice.Node).ToList();
            if (agreement is Agreement.Proposed or Agreement.Agreed || (agreement.IsClosed && agreement is not Agreement.Ended) || mine.Count == 0)
            {
                // Should it come back to this node, that is another time.
                Forget(agreement.Id);
                if (agreement.IsClosed)
                    finished.Add(agreement.Id);
                continue;
            }
            var (now, told) = (time.GetUtcNow(), _told.GetValueOrDefault(agreement.Id));
            var reports = mine.Select(w => Report(agreement, w, observed)).ToImmutableArray();
            var picture = string.Join('\n', reports.Select(r => $"{r.Name} {r.State} {r.Generation} {r.Restarts} {r.ExitCode} {r.Reason}")) + agreement.Version.Id;
            var gone = agreement.IsClosed && reports.All(r => r.State is WorkloadState.Gone);
            if (told?.Picture != picture || (!agreement.IsClosed && (now < told.At || now - told.At >= Interval)))
            {
                using var span = NodeTrace.Begin("sign receipt", agreement.Id);
                // An amendment that an agent did not live to see: under which version the time was, nobody knows.
                var from = told is null || (told.IsRestored && told.Version != agreement.Version.Id) ? now : told.At;
                var receipt = voice.Say(new Receipt(agreement.Id, agreement.Version.Id, from < now ? from : now, now, reports));
                span?.SetTag(TraceTag.Statement, receipt.Id.ToString());
                _signed.Enqueue((receipt, agreement.Id, picture));
                _told[agreement.Id] = new Told(null, now, agreement.Version.Id);
                meter.Begin(agreement.Id);
            }
            if (gone)
                finished.Add(agreement.Id);
        }
        if (_signed.Count > 0 || _keptAt is not { } at || time.GetElapsedTime(at) >= KeepEvery)
            Keep();
        return finished.ToImmutable();
    }

    /// <summary>Nothing of it is here any more, and that was told.</summary>
    public void Forget(AgreementId agreement)
    {
        _told.Remove(agreement);
        meter.Forget(agreement);
    }

    // What was counted is written down as said before the receipt that says it has its place: an agent killed in between has left one out, and none says anything twice.
    private void Keep()
    {
        new ReceiptState([.. _told.Select(t => new ToldAgreement(t.Key.ToString(), t.Value.Picture, t.Value.At, t.Value.Version.ToString()))], meter.Counted()).Write(state);
        _keptAt = time.GetTimestamp();
        while (_signed.TryPeek(out var signed))
        {
            Enqueue(signed.Receipt);
            _signed.Dequeue();
            if (_told.TryGetValue(signed.Agreement, out var told))
                _told[signed.Agreement] = told with { Picture = signed.Picture };
        }
    }

    /// <summary>How many the ledger has not taken yet.</summary>
    public int Waits => Waiting().Count();

    /// <summary>Delivers what waits, oldest first, until the ledger cannot be reached or has not said its last word.</summary>
    public async Task DeliverAsync(CancellationToken cancel)
    {
        foreach (var path in Waiting())
        {
            try
            {
                var statement = Statement.Decode(await File.ReadAllBytesAsync(path, cancel));
                // Signed by a clock that has been put back since: its time comes, and until then it holds up nothing.
                if (statement.Payload.Issued > time.GetUtcNow())
                    continue;
                var answer = await ledger.SubmitAsync(statement, cancel);
                if (answer.Try(out var recorded, out var refusal))
                    contact.Hear(recorded.Time);
                else if (answer.IsSettled())
                    Refused(statement.Id, refusal.Code, refusal.Detail);
                else
                {
                    StillWaits(statement.Id, refusal.Code, refusal.Detail);
                    return;
                }
                File.Delete(path);
            }
            catch (LedgerUnreachableException)
            {
                return;
            }
            catch (StatementFormatException e)
            {
                Torn(path, e.Code);
                File.Delete(path);
            }
        }
    }

    private IEnumerable<string> Waiting() =>
        Directory.Exists(directory) ? Directory.EnumerateFiles(directory, "*.cose").Order(StringComparer.Ordinal).ToList() : [];

    private void Enqueue(Statement statement)
    {
        Directory.CreateDirectory(directory);
        var waiting = Waiting().ToList();
        if (_next < 0)
            _next = waiting.Count == 0 ? 0 : long.Parse(Path.GetFileNameWithoutExtension(waiting[^1]), CultureInfo.InvariantCulture) + 1;
        foreach (var oldest in waiting.Take(waiting.Count - MaximumWaiting + 1))
        {
            GivenUp(oldest);
            File.Delete(oldest);
        }
        var path = Path.Combine(directory, $"{_next++:d12}.cose");
        File.WriteAllBytes(path + ".new", statement.Bytes.ToArray());
        File.Move(path + ".new", path);
    }

    private WorkloadReport Report(Agreement agreement, Workload workload, Observed observed)
    {
        var key = new WorkloadKey(agreement.Id, workload.Name);
        var (used, over) = (meter.Since(key), agreement.IsClosed);
        var attempts = observed.Attempts.GetValueOrDefault(key);
        // Of what has no process there is nothing more to say.
        WorkloadReport Stands(WorkloadState state, string? why) => new(workload.Name, state, Cut(why), 0, 0, used, null, false, null);
        switch (workload)
        {
            case Volume volume:
                return Stands(StateOf(volume, observed.VolumeOf(key), attempts, over, out var why), why);
            case Gateway:
                return Stands(StateOf(observed.Gateways.GetValueOrDefault(key), attempts, over, out why), why);
            case PublicAddress address:
                return Stands(StateOf(address, observed.Addresses.GetValueOrDefault(key), attempts, over, out why), why);
        }
        var sighting = observed.Containers.GetValueOrDefault(key);
        if (sighting is not Sighting<ContainerSeen>.Present(var seen))
            return Stands(over && sighting is null ? WorkloadState.Gone : NotYet(attempts), sighting is Sighting<ContainerSeen>.Unknown(var unknown) ? unknown : attempts?.Why);
        var health = observed.Health.GetValueOrDefault(key);
        var state = StateOf(seen, agreement, HealthPlan.Serves(workload, seen, health));
        return new WorkloadReport(
            workload.Name, state, Cut(WhyPaused(agreement, seen) ?? HealthPlan.Why(workload, seen, health) ?? observed.WhyOfVolumes(key, workload) ?? (state is WorkloadState.Running ? sight.EmulationOf(workload) : attempts?.Why)), seen.Generation, long.Max(0, seen.Generation - 1),
            used, seen.ExitCode, seen.OomKilled, sight.RootOf(key));
    }

    private static WorkloadState StateOf(Volume volume, Sighting<VolumeSeen>? sighting, Attempts? attempts, bool over, out string? why)
    {
        why = sighting?.Why() ?? attempts?.Why;
        return sighting switch
        {
            null when over => WorkloadState.Gone,
            // What was kept is kept, perhaps, and nobody can have it now.
            Sighting<VolumeSeen>.Unknown => WorkloadState.Failed,
            Sighting<VolumeSeen>.Present(var seen) when over => seen.Attached ? WorkloadState.Running : WorkloadState.Stopped,
            Sighting<VolumeSeen>.Present(var seen) when seen.Attached && seen.Size >= volume.Size => WorkloadState.Running,
            _ => NotYet(attempts),
        };
    }

    private static WorkloadState StateOf(PublicAddress address, Sighting<AddressSeen>? sighting, Attempts? attempts, bool over, out string? why)
    {
        why = (sighting as Sighting<AddressSeen>.Unknown)?.Why ?? attempts?.Why;
        return sighting switch
        {
            null when over => WorkloadState.Gone,
            Sighting<AddressSeen>.Present when over => WorkloadState.Stopped,
            Sighting<AddressSeen>.Present(var seen) when seen.Is(address) => WorkloadState.Running,
            _ => NotYet(attempts),
        };
    }

    // It runs when its name is served, whether or not its backend answers: that is the backend's to report.
    private static WorkloadState StateOf(Sighting<GatewaySeen>? sighting, Attempts? attempts, bool over, out string? why)
    {
        var seen = (sighting as Sighting<GatewaySeen>.Present)?.Thing;
        why = seen is { Serving: true } ? null : seen?.Why ?? (sighting as Sighting<GatewaySeen>.Unknown)?.Why ?? attempts?.Why;
        if (seen is null)
            return over && sighting is null ? WorkloadState.Gone : NotYet(attempts);
        return seen.Serving ? WorkloadState.Running : over ? WorkloadState.Stopped : seen.Why is null ? WorkloadState.Starting : WorkloadState.Failed;
    }

    private static WorkloadState StateOf(ContainerSeen seen, Agreement agreement, bool serves) => seen.Phase switch
    {
        ContainerPhase.Running when serves => WorkloadState.Running,
        ContainerPhase.Paused => WorkloadState.Stopped,
        ContainerPhase.Running or ContainerPhase.Exited when seen.Health is { Unhealthy: not null } && !agreement.IsClosed => WorkloadState.Failed,
        ContainerPhase.Exited => seen.ExitCode == 0 || agreement.IsClosed ? WorkloadState.Stopped : WorkloadState.Failed,
        _ => WorkloadState.Starting,
    };

    // The one reason for which the plan pauses anything.
    private static string? WhyPaused(Agreement agreement, ContainerSeen seen) => seen.Phase is ContainerPhase.Paused && !agreement.IsClosed
        ? string.Create(CultureInfo.InvariantCulture, $"paused: the ledger was silent for longer than the {agreement.Version.Terms.Term.Offline.After.TotalSeconds:0} s of the term's 'offline'") : null;

    private static WorkloadState NotYet(Attempts? attempts) => attempts is { Failures: > 0 } ? WorkloadState.Failed : WorkloadState.Starting;

    private static string? Cut(string? why) => why is null ? null : Reason.Cut(why, WorkloadReport.LongestReason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The receipt {Statement} was refused: {Code}: {Detail}")]
    private partial void Refused(StatementId statement, string code, string detail);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The receipt {Statement} and those after it wait: {Code}: {Detail}")]
    private partial void StillWaits(StatementId statement, string code, string detail);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The waiting receipt {Path} cannot be read: {Code}")]
    private partial void Torn(string path, string code);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Too many receipts wait; {Path} is given up")]
    private partial void GivenUp(string path);

    // Without a picture while it may not have its place.
    private sealed record Told(string? Picture, DateTimeOffset At, StatementId Version)
    {
        // Said by an agent before this one.
        public bool IsRestored { get; init; }
    }
}
