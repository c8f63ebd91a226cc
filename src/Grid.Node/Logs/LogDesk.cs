using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Security.Cryptography;
using Grid.Agreements;
using Grid.Client;
using Grid.Logs;
using Grid.Node.Agent;
using Grid.Node.Containers;
using Grid.Statements;
using Grid.Units;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Logs;

/// <summary>
/// Answers users who ask for what their workloads wrote. The requests come with the ledger's news and may be anybody's: only what the agreement's user
/// signed is answered, by the keys that the account has by a proof of now, and the answer opens for that request's key alone.
/// </summary>
internal sealed partial class LogDesk(NodeId node, SigningKey key, LedgerClient ledger, Func<ContainerId, string> pathOf, TimeProvider time, ILogger log)
{
    public const int MaximumAtOnce = 8;

    // A key that an account gave up reads for so much longer.
    private static readonly TimeSpan ProofHolds = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<Digest, Task> _answering = new();
    private readonly ConcurrentDictionary<Digest, DateTimeOffset> _answered = new();
    private readonly ConcurrentDictionary<AgreementId, (VerifiedAgreement Verified, long At)> _proofs = new();

    /// <summary>What is being answered.</summary>
    public Task Ended => Task.WhenAll(_answering.Values);

    /// <summary>Begins to answer; what is too much, or no request at all, is left to be asked again.</summary>
    public void Take(ImmutableArray<ReadOnlyMemory<byte>> requests, CancellationToken cancel)
    {
        foreach (var bytes in requests)
        {
            if (_answering.Count >= MaximumAtOnce)
                return;
            SignedLogRequest request;
            try
            {
                request = LogRequest.Decode(bytes);
            }
            catch (StatementFormatException e)
            {
                Unreadable(e.Code);
                continue;
            }
            if (request.Request.Node != node || _answering.ContainsKey(request.Id) || _answered.ContainsKey(request.Id))
                continue;
            var work = new Task<Task>(() => AnswerAsync(request, cancel), CancellationToken.None);
            _answering[request.Id] = work.Unwrap();
            work.Start(TaskScheduler.Default);
        }
    }

    private async Task AnswerAsync(SignedLogRequest request, CancellationToken cancel)
    {
        using var span = NodeTrace.Begin("send log", request.Request.Agreement);
        try
        {
            var refusal = await RefusedAsync(request, cancel);
            span.Ended(refusal, failed: false);
            var answer = refusal is not null ? LogAnswer.Refuse(request, refusal, key)
                : Seal(request, await PieceAsync(request.Request, cancel));
            if (refusal is not null)
                Refused(request.Request.Agreement, request.Request.Workload, refusal.Code);
            if (!(await ledger.AnswerLogAsync(request.Id, answer, cancel)).Try(out _, out var no))
                NotTaken(no.Code);
        }
        catch (Exception e) when (e is LedgerUnreachableException or IOException or UnauthorizedAccessException)
        {
            // Whoever asked hears nothing and asks again.
            NotTaken(e.Message);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // The agent stops.
        }
        finally
        {
            _answering.TryRemove(request.Id, out _);
        }
    }

    private async Task<Refusal?> RefusedAsync(SignedLogRequest request, CancellationToken cancel)
    {
        if (!_proofs.TryGetValue(request.Request.Agreement, out var proof) || time.GetElapsedTime(proof.At) > ProofHolds)
        {
            foreach (var (id, old) in _proofs)
            {
                if (time.GetElapsedTime(old.At) > ProofHolds)
                    _proofs.TryRemove(id, out _);
            }
            // Also of what is over: its log is kept, and is its user's.
            if (!(await ledger.BundleAsync(request.Request.Agreement, receipts: false, cancel)).Try(out var bundle, out var unproven))
                return unproven;
            _proofs[request.Request.Agreement] = proof = (bundle.Verified, time.GetTimestamp());
        }
        var now = time.GetUtcNow();
        if (request.Check(proof.Verified.State, now) is { } refusal)
            return refusal;
        foreach (var (id, until) in _answered)
        {
            if (until < now)
                _answered.TryRemove(id, out _);
        }
        // Once: who plays it again would only get what the first could open, and this node's time.
        return _answered.TryAdd(request.Id, request.Request.Until) ? null : new Refusal(RefusalCode.AlreadySo, "This request was answered.");
    }

    private Task<LogPiece> PieceAsync(LogRequest request, CancellationToken cancel) =>
        LogPieces.ReadAsync(pathOf(new ContainerId(request.Agreement, request.Workload)), request.From, request.Tail, request.Since, request.Wait, time, cancel);

    private byte[] Seal(SignedLogRequest request, LogPiece piece)
    {
        var secret = RandomNumberGenerator.GetBytes(Digest.Size);
        try
        {
            return LogAnswer.Seal(request, piece, secret, key) ?? LogAnswer.Refuse(request, new Refusal(RefusalCode.KeyInvalid, "What it was to be sealed to is no key."), key);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A request for a log cannot be read: {Code}")]
    private partial void Unreadable(string code);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The log of {Agreement}/{Workload} was not told: {Code}")]
    private partial void Refused(AgreementId agreement, string workload, string code);

    [LoggerMessage(Level = LogLevel.Information, Message = "The answer to a request for a log was not taken: {Why}")]
    private partial void NotTaken(string why);
}
