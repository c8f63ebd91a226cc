using System.Security.Cryptography;
using Grid.Agreements;
using Grid.Client;
using Grid.Logs;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Logs;

/// <summary>
/// A workload's log as its node tells it, piece by piece. Each request has a key of its own that its answer is sealed to, and is signed by the account's
/// keys, which are open for as long as this is.
/// </summary>
internal sealed class NodeLog : IDisposable
{
    /// <summary>Shorter than what nodes and ledgers let a request wait.</summary>
    public static readonly TimeSpan LongPoll = TimeSpan.FromSeconds(10);

    private readonly Session _session;
    private readonly LedgerClient _ledger;
    private readonly VerifiedAgreement _verified;
    private readonly string _workload;
    private readonly NodeId _node;
    private readonly List<SigningKey> _keys;
    private readonly LogLines _lines = new();
    private ReadOnlyMemory<byte> _from;

    private NodeLog(Session session, LedgerClient ledger, VerifiedAgreement verified, string workload, NodeId node, List<SigningKey> keys) =>
        (_session, _ledger, _verified, _workload, _node, _keys) = (session, ledger, verified, workload, node, keys);

    public LedgerClient Ledger => _ledger;

    /// <summary>There is more to ask for at once.</summary>
    public bool More { get; private set; }

    public static async Task<Answer<NodeLog>> OpenAsync(Session session, VerifiedAgreement verified, string workload, NodeId node, CancellationToken cancellation)
    {
        if (!(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out var refusal)
            || !session.Speaker(verified.Agreement.User.ToString()).Try(out var speaker, out refusal))
            return refusal;
        var keys = new List<SigningKey>();
        foreach (var name in speaker.Keys.Distinct())
        {
            if (session.Open(name).Try(out var key, out refusal))
            {
                keys.Add(key);
                continue;
            }
            keys.ForEach(k => k.Dispose());
            return refusal;
        }
        return new NodeLog(session, ledger, verified, workload, node, keys);
    }

    /// <summary>The next piece's lines; none when there is nothing new within the wait.</summary>
    /// <param name="tail">for the first piece</param>
    /// <param name="since">for the first piece</param>
    public async Task<Answer<List<LogLine>>> NextAsync(int? tail, DateTimeOffset? since, TimeSpan wait, CancellationToken cancellation)
    {
        var secret = _session.Shell.Random(Digest.Size);
        try
        {
            var bytes = new LogRequest(_ledger.Trust.Origin, _verified.Agreement.Id, _node, _workload, LogAnswer.PublicOf(secret), _from, tail, since, wait,
                _session.Now + LogRequest.LongestLife / 2).Sign(_keys);
            if (!(await _ledger.AskLogAsync(bytes, wait, cancellation).ConfigureAwait(false)).Try(out var answer, out var refusal))
                return refusal;
            var (piece, no) = LogAnswer.Open(answer, LogRequest.Decode(bytes), secret, _verified.State.Nodes[_node].Key);
            if (piece is null)
                return no!;
            if (piece.Gap)
            {
                _lines.Break();
                _session.Say("Some lines are gone: the log was full and began anew.");
            }
            (_from, More) = (piece.Next, piece.More);
            return _lines.Read(piece.Text).ToList();
        }
        catch (StatementFormatException e)
        {
            return new Answer<List<LogLine>>.Disproved(new Refusal(e.Code, $"The answer is not the node's: {e.Message}", "Whoever carried it bent it. Ask again, or through another ledger's address."));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
        }
    }

    public void Dispose()
    {
        _lines.Dispose();
        _keys.ForEach(k => k.Dispose());
    }
}
