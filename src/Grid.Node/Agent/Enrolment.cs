using System.Collections.Immutable;
using Grid.Addresses;
using Grid.Client;
using Grid.Nodes;
using Grid.Statements;
using Grid.Units;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>
/// Joins by the farmer's invite and reports what the node has. The statement of the join is kept before it is sent, so that a join which was
/// recorded and not heard of is found again: sent twice, it is the same node.
/// </summary>
/// <param name="accelerator">what runs machines, when it runs any</param>
/// <param name="kinds">of workloads that this node can run, sorted</param>
/// <param name="storage">what its data disks have, as ssd and hdd</param>
/// <param name="domain">under which it gives names to gateways</param>
internal sealed partial class Enrolment(NodeOptions options, ImmutableArray<string> kinds, string? accelerator, Capacity storage, string? domain, SigningKey key, LedgerClient ledger, TimeProvider time, ILogger log)
{
    private readonly Capacity _all = (options.Capacity ?? HostCapacity.Read() with { Ssd = storage.Ssd, Hdd = storage.Hdd }) with { PublicIPv4 = kinds.Contains(PublicAddress.KindName) ? options.PublicIPv4 : 0 };

    private Capacity Reserved => options.Capacity is null ? HostCapacity.Reserve(_all) : Capacity.None;

    /// <summary>What agreements may take of this machine.</summary>
    public Capacity Available => _all - Reserved;

    private string Kept => Path.Combine(options.Paths.Data, "join.cose");

    // There once the ledger has recorded the join: from then on the node starts without asking.
    private string Joined => Path.Combine(options.Paths.Data, "joined");

    /// <summary>True when this node has never been here before: others wait for what it has to say.</summary>
    public bool IsNew { get; } = !File.Exists(Path.Combine(options.Paths.Data, "report.cbor"));

    /// <summary>The node's id, joining first when it has none.</summary>
    /// <exception cref="NodeException">there is no invite, or the ledger refuses it</exception>
    public async Task<NodeId> JoinAsync(CancellationToken cancel)
    {
        if (!File.Exists(Kept))
            Write(Kept, Join().Bytes.ToArray());
        var join = await ReadKeptAsync(cancel);
        if (join.Payload.Ledger != options.Origin)
            throw new NodeException(RefusalCode.WrongLedger, $"This node joined the ledger '{join.Payload.Ledger}', not '{options.Origin}'.", "Use another --data directory.");
        if (File.Exists(Joined))
            return new NodeId(join.Id.Value);
        var answer = await UntilReachedAsync(() => ledger.SubmitAsync(join, cancel), cancel);
        if (answer.Try(out _, out var refusal))
        {
            Write(Joined, []);
            return new NodeId(join.Id.Value);
        }
        // A refused join can never become true; the next start may bring a better invite. One that was not judged may be recorded by now, and its invite used:
        // it is kept, unless it was signed by a clock that has been put back since, and is so late that the ledger has not taken it.
        if (answer.IsSettled() || (refusal.Code == RefusalCode.NotYetValid && join.Payload.Issued > time.GetUtcNow()))
            File.Delete(Kept);
        throw new NodeException(refusal with { Detail = $"{(answer.IsSettled() ? "The ledger refuses the join" : "The join is not taken yet")}: {refusal.Detail}" });
    }

    /// <summary>Says what the node has, unless that is what it said last.</summary>
    public async Task ReportAsync(NodeVoice voice, CancellationToken cancel)
    {
        var report = new ReportNode(_all, Reserved, kinds, HostCapacity.Hardware(accelerator)) { Domain = domain };
        var said = Path.Combine(options.Paths.Data, "report.cbor");
        var body = CanonicalWriter.Encode(report.Write);
        if (File.Exists(said) && (await File.ReadAllBytesAsync(said, cancel)).AsSpan().SequenceEqual(body))
            return;
        var statement = voice.Say(report);
        var answer = await UntilReachedAsync(() => ledger.SubmitAsync(statement, cancel), cancel, settled: true);
        if (!answer.Try(out _, out var refusal))
            throw new NodeException(refusal with { Detail = $"The ledger refuses the report: {refusal.Detail}" });
        Write(said, body);
        Reported(_all);
    }

    private Statement Join()
    {
        using var invite = Invite.Read(options.Invite ?? throw new NodeException(NodeCode.InviteMissing, "This node has not joined a farm and was given no --invite.", "Give the file that the farmer made with 'grid node invite'."));
        var now = DateTimeOffset.FromUnixTimeSeconds(time.GetUtcNow().ToUnixTimeSeconds());
        var body = new JoinNode(invite.Farm, invite.Id, key.Public, HostCapacity.Hardware());
        return Statement.Sign(new Payload(options.Origin, null, now, now.AddDays(1), body), key, invite.Key);
    }

    private async Task<Statement> ReadKeptAsync(CancellationToken cancel)
    {
        try
        {
            return Statement.Decode(await File.ReadAllBytesAsync(Kept, cancel));
        }
        catch (StatementFormatException e)
        {
            throw new NodeException(NodeCode.JoinFileInvalid, $"{Kept} is not the statement by which this node joined: {e.Message}", "Put back a copy of it, or start in another --data directory with a new --invite.");
        }
    }

    /// <param name="settled">go on until the ledger has said its last word, too</param>
    private async Task<Answer<T>> UntilReachedAsync<T>(Func<Task<Answer<T>>> ask, CancellationToken cancel, bool settled = false)
    {
        while (true)
        {
            try
            {
                var answer = await ask();
                if (!settled || answer.IsSettled() || answer.Try(out _, out var refusal))
                    return answer;
                NotSettled(refusal.Code, refusal.Detail);
            }
            catch (LedgerUnreachableException e)
            {
                Unreachable(e.Message);
            }
            await Task.Delay(TimeSpan.FromSeconds(1), time, cancel);
        }
    }

    private static void Write(string path, byte[] content)
    {
        File.WriteAllBytes(path + ".new", content);
        File.Move(path + ".new", path, overwrite: true);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The ledger cannot be reached: {Why}")]
    private partial void Unreachable(string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The report is sent again: {Code}: {Detail}")]
    private partial void NotSettled(string code, string detail);

    [LoggerMessage(Level = LogLevel.Information, Message = "Reported {Capacity}")]
    private partial void Reported(Capacity capacity);
}
