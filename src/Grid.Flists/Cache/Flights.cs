using System.Collections.Concurrent;
using Grid.Flists.Content;
using Grid.Flists.Hub;
using Grid.Flists.Packs;
using Grid.Units;

namespace Grid.Flists.Cache;

/// <summary>One chunk of one file that is wanted in the cache.</summary>
internal readonly record struct Want(int Inode, Digest Content, long Size, long Number, Digest Hash);

/// <summary>
/// Brings chunks into the cache, each once however many ask for it. Who asks may give up; the fetch goes on for the others and ends with the cache.
/// </summary>
internal sealed class Flights(FlistCache cache, FlistSource source)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(Digest Content, long Number), Task> _flights = [];
    private readonly ConcurrentDictionary<Task, bool> _fetches = [];

    /// <summary>Completes when all of them are in the cache.</summary>
    /// <exception cref="FlistReadException">one could not be had; the others may be there</exception>
    public Task EnsureAsync(IReadOnlyList<Want> wants, int requestLength, bool oneByOne = false) => Task.WhenAll(Begin(wants, requestLength, oneByOne));

    /// <summary>Starts fetching what is not on its way; a task for each, in order.</summary>
    public IReadOnlyList<Task> Begin(IReadOnlyList<Want> wants, int requestLength, bool oneByOne = false)
    {
        var tasks = new Task[wants.Count];
        var own = new List<(Want Want, TaskCompletionSource Done)>();
        lock (_lock)
        {
            for (var i = 0; i < wants.Count; i++)
            {
                if (_flights.TryGetValue((wants[i].Content, wants[i].Number), out tasks[i]!))
                    continue;
                var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                // A failure that nobody waits for (read-ahead) will meet whoever asks again.
                _ = done.Task.ContinueWith(t => _ = t.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
                tasks[i] = _flights[(wants[i].Content, wants[i].Number)] = done.Task;
                own.Add((wants[i], done));
            }
        }
        if (own.Count > 0)
        {
            var fetch = Task.Run(() => FetchAsync(own, requestLength, oneByOne));
            _fetches.TryAdd(fetch, true);
            _ = fetch.ContinueWith(t => _fetches.TryRemove(t, out _), TaskScheduler.Default);
        }
        return tasks;
    }

    public void WaitAll() => Task.WaitAll([.. _fetches.Keys]);

    private async Task FetchAsync(List<(Want Want, TaskCompletionSource Done)> own, int requestLength, bool oneByOne)
    {
        Exception? failure = null;
        var byHash = own.ToLookup(o => o.Want.Hash);
        try
        {
            foreach (var (want, done) in byHash[PackLimits.ZeroChunk])
            {
                Keep(want, new byte[Chunk.Size]);
                Land(want, done, null);
            }
            await source.FetchAsync(byHash.Select(g => g.Key).Where(h => h != PackLimits.ZeroChunk), requestLength, (hash, bytes) =>
            {
                foreach (var (want, done) in byHash[hash])
                {
                    Keep(want, bytes.Span);
                    Land(want, done, null);
                }
            }, oneByOne, cache.Closing).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException or UnauthorizedAccessException)
        {
            failure = e;
        }
        foreach (var (want, done) in own)
            Land(want, done, failure is null ? null : new FlistReadException($"Chunk {want.Number} of inode {want.Inode} of {source.Id}: {failure.Message}", failure));
    }

    private void Keep(Want want, ReadOnlySpan<byte> bytes)
    {
        // The index may say a chunk is longer or shorter than the file has room for; then it is another chunk.
        var length = (int)long.Min(Chunk.Size, want.Size - (want.Number << Chunk.SizeLog2));
        if (bytes.Length != length)
            throw new FlistReadException($"Chunk {want.Number} of inode {want.Inode} has {bytes.Length} bytes where the file has {length}.");
        if (want.Size <= Chunk.Size)
        {
            cache.AddObject(want.Content, bytes);
            return;
        }
        using var lease = cache.Partials.Open(want.Content, want.Size);
        lease.File.Write(want.Number, bytes);
        cache.Wrote(length);
        if (lease.File.IsComplete)
            cache.Finish(want.Content, want.Size);
    }

    private void Land(Want want, TaskCompletionSource done, FlistReadException? failure)
    {
        lock (_lock)
        {
            if (_flights.TryGetValue((want.Content, want.Number), out var task) && task == done.Task)
                _flights.Remove((want.Content, want.Number));
        }
        if (failure is null)
            done.TrySetResult();
        else
            done.TrySetException(failure);
    }
}
