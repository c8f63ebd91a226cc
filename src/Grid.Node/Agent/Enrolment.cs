using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grid.Addresses;
using Grid.Client;
using Grid.Nodes;
using Grid.Statements;
using Grid.Units;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>The farmer's invite as it travels on the boot media: a one-time secret.</summary>
/// <param name="Version">1</param>
/// <param name="Farm">farm1…</param>
/// <param name="Invite">st1…, the statement that invites</param>
/// <param name="Seed">base64 of the invite key's 32-byte seed</param>
/// <param name="Expires">RFC 3339; after it the ledger takes the invite no more</param>
/// <param name="Ledger">where the farmer's ledger is, its name and its key: hints for whoever writes the boot media; the node is told its own</param>
public sealed record InviteFile(
    int Version, string Farm, string Invite, string Seed, string? Expires = null, string? Ledger = null, string? Origin = null, string? LedgerKey = null, string? Hub = null);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(InviteFile))]
internal sealed partial class EnrolmentContext : JsonSerializerContext;


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
            Write(Kept, Join(ReadInvite()).Bytes.ToArray());
        var join = Statement.Decode(await File.ReadAllBytesAsync(Kept, cancel));
        if (join.Payload.Ledger != options.Origin)
            throw new NodeException($"This node joined the ledger '{join.Payload.Ledger}', not '{options.Origin}'. Use another --data directory.");
        if (File.Exists(Joined))
            return new NodeId(join.Id.Value);
        var answer = await UntilReachedAsync(() => ledger.SubmitAsync(join, cancel), cancel);
        if (answer.Try(out _, out var refusal))
        {
            Write(Joined, []);
            return new NodeId(join.Id.Value);
        }
        // A refused join can never become true; the next start may bring a better invite.
        File.Delete(Kept);
        throw new NodeException($"The ledger refuses the join: {refusal}");
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
        var answer = await UntilReachedAsync(() => ledger.SubmitAsync(statement, cancel), cancel);
        if (!answer.Try(out _, out var refusal))
            throw new NodeException($"The ledger refuses the report: {refusal}");
        Write(said, body);
        Reported(_all);
    }

    private Statement Join(InviteFile invite)
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(time.GetUtcNow().ToUnixTimeSeconds());
        using var inviteKey = SigningKey.FromSeed(Convert.FromBase64String(invite.Seed));
        var body = new JoinNode(Id.Parse<FarmId>(invite.Farm), Id.Parse<StatementId>(invite.Invite), key.Public, HostCapacity.Hardware());
        return Statement.Sign(new Payload(options.Origin, null, now, now.AddDays(1), body), key, inviteKey);
    }

    private InviteFile ReadInvite()
    {
        var path = options.Invite ?? throw new NodeException("This node has not joined a farm and was given no --invite.");
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), EnrolmentContext.Default.InviteFile) ?? throw new NodeException($"The invite {path} is empty.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new NodeException($"The invite {path} cannot be read: {e.Message}");
        }
    }

    private async Task<Answer<T>> UntilReachedAsync<T>(Func<Task<Answer<T>>> ask, CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                return await ask();
            }
            catch (LedgerUnreachableException e)
            {
                Unreachable(e.Message);
                await Task.Delay(TimeSpan.FromSeconds(1), time, cancel);
            }
        }
    }

    private static void Write(string path, byte[] content)
    {
        File.WriteAllBytes(path + ".new", content);
        File.Move(path + ".new", path, overwrite: true);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The ledger cannot be reached: {Why}")]
    private partial void Unreachable(string why);

    [LoggerMessage(Level = LogLevel.Information, Message = "Reported {Capacity}")]
    private partial void Reported(Capacity capacity);
}

/// <summary>The node cannot start; the message says why and what to do.</summary>
public sealed class NodeException(string message) : Exception(message);
