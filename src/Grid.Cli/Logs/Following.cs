using System.Threading.Channels;
using Grid.Agreements;
using Grid.Cli.Commands;
using Grid.Client;
using Grid.Units;

namespace Grid.Cli.Logs;

/// <summary>Goes on with a log as it is written, until its workload is over. The kernel says when there is more, the ledger when it is the end.</summary>
internal static class Following
{
    private static readonly TimeSpan LongPoll = TimeSpan.FromSeconds(25);

    /// <summary>How long a node has for its last receipt; one that is away sends none.</summary>
    private static readonly TimeSpan LastWords = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <param name="show">called for every line from where <paramref name="log"/> stands</param>
    public static async Task RunAsync(string path, LogFile log, Action<LogLine> show, Task over, CancellationToken cancellation)
    {
        var more = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        void Look(object sender, EventArgs e) => more.Writer.TryWrite(true);
        using var watch = new FileSystemWatcher(Path.GetDirectoryName(path)!, Path.GetFileName(path))
        {
            NotifyFilter = NotifyFilters.FileName | NotifyFilters.LastWrite | NotifyFilters.Size,
        };
        watch.Changed += Look;
        watch.Created += Look;
        watch.Renamed += Look;
        watch.Error += Look;
        watch.EnableRaisingEvents = true;
        while (true)
        {
            var ended = over.IsCompleted;
            foreach (var line in log.Next())
                show(line);
            if (ended)
                break;
            var wake = more.Reader.WaitToReadAsync(cancellation).AsTask();
            await Task.WhenAny(wake, over).ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
            more.Reader.TryRead(out _);
        }
        await over.ConfigureAwait(false);
    }

    /// <summary>Completes when the agreement is over and its node has said that the workload is gone, or has had its time to say so.</summary>
    public static async Task OverAsync(LedgerClient ledger, AgreementId id, NodeId node, string workload, TimeProvider time, CancellationToken cancellation)
    {
        VerifiedAgreement? verified = null;
        var after = -1L;
        while (verified is not { Agreement.IsClosed: true })
        {
            try
            {
                if ((await ledger.BundleAsync(id, receipts: false, cancellation).ConfigureAwait(false)).Try(out var bundle, out _))
                    verified = bundle.Verified;
                if (verified is not { Agreement.IsClosed: true }
                    && (await ledger.NodeAgreementsAsync(node, after, after < 0 ? TimeSpan.Zero : LongPoll, cancellation).ConfigureAwait(false)).Try(out var news, out _))
                    after = news.Index;
            }
            catch (LedgerUnreachableException)
            {
                // The log is here, whoever else is away.
                await Task.Delay(Pause, time, cancellation).ConfigureAwait(false);
            }
        }
        // Receipts wake nobody, so the last one has to be looked for.
        for (var began = time.GetTimestamp(); time.GetElapsedTime(began) < LastWords; await Task.Delay(Pause, time, cancellation).ConfigureAwait(false))
        {
            try
            {
                if ((await ledger.BundleAsync(id, receipts: true, cancellation).ConfigureAwait(false)).Try(out var bundle, out _)
                    && (!Story.Latest(bundle.Verified).TryGetValue(workload, out var last) || last.Report.State is WorkloadState.Gone))
                    return;
            }
            catch (LedgerUnreachableException)
            {
                // Asked again below.
            }
        }
    }
}
