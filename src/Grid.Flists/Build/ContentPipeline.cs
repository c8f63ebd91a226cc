using System.Buffers;
using System.Threading.Channels;
using Grid.Units;

namespace Grid.Flists.Build;

/// <summary>
/// Reads and hashes the files of a tree on several threads and hands their distinct chunks to the sink in canonical order. What is in flight is
/// bounded: a few batches of at most 1 MiB.
/// </summary>
internal sealed class ContentPipeline(SourceTree source, IContentSink sink, BuildOptions options)
{
    private const int BatchBytes = 1 << 20;
    private const int BatchFiles = 128;

    private readonly HashSet<Digest> _known = [];
    private long _totalFiles, _totalBytes, _files, _bytes;

    public async Task RunAsync(CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var queue = Channel.CreateBounded<Task<List<Piece>>>(new BoundedChannelOptions(options.Workers + 1) { SingleReader = true, SingleWriter = true });
        var feeding = Task.Run(() => FeedAsync(queue.Writer, stop.Token), CancellationToken.None);
        try
        {
            await foreach (var batch in queue.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
                await TakeAsync(await batch.ConfigureAwait(false), cancellation).ConfigureAwait(false);
            await feeding.ConfigureAwait(false);
        }
        finally
        {
            await stop.CancelAsync().ConfigureAwait(false);
            await DrainAsync(queue.Reader, feeding).ConfigureAwait(false);
        }
    }

    private async Task TakeAsync(List<Piece> pieces, CancellationToken cancellation)
    {
        foreach (var piece in pieces)
        {
            piece.File.Node.Chunks[piece.Index] = piece.Chunk.Hash;
            _bytes += piece.Chunk.Bytes.Length;
            if (piece.Index == piece.File.Node.Chunks.Length - 1)
                _files++;
            if (_known.Add(piece.Chunk.Hash))
                await sink.AddAsync(piece.Chunk, cancellation).ConfigureAwait(false);
            else
                piece.Chunk.Dispose();
        }
        options.Progress?.Report(new BuildProgress(_files, _totalFiles, _bytes, _totalBytes));
    }

    private async Task FeedAsync(ChannelWriter<Task<List<Piece>>> queue, CancellationToken cancellation)
    {
        try
        {
            foreach (var batch in Batches())
            {
                await queue.WaitToWriteAsync(cancellation).ConfigureAwait(false);
                var work = Task.Run(() => Hash(batch, cancellation), CancellationToken.None);
                await queue.WriteAsync(work, CancellationToken.None).ConfigureAwait(false);
            }
            queue.Complete();
        }
        catch (Exception e)
        {
            // Whoever reads the queue throws it.
            queue.Complete(e);
        }
    }

    // Every file once, however many names it has; small files together, large ones in runs of chunks.
    private IEnumerable<List<Part>> Batches()
    {
        var files = new HashSet<FileNode>();
        Collect(source.Tree.Root, files);
        (_totalFiles, _totalBytes) = (files.Count, files.Sum(f => f.Size));
        var batch = new List<Part>();
        var bytes = 0L;
        foreach (var file in InOrder(files))
        {
            var chunks = file.Node.Chunks.Length;
            for (var first = 0; first < chunks;)
            {
                var room = int.Max(1, (int)((BatchBytes - bytes) >> Chunk.SizeLog2));
                var count = int.Min(room, chunks - first);
                batch.Add(new Part(file, first, count));
                bytes += long.Min((long)count << Chunk.SizeLog2, file.Node.Size);
                first += count;
                if (bytes >= BatchBytes - Chunk.Size || batch.Count == BatchFiles)
                {
                    yield return batch;
                    batch = [];
                    bytes = 0;
                }
            }
        }
        if (batch.Count > 0)
            yield return batch;
    }

    private static void Collect(DirectoryNode directory, HashSet<FileNode> files)
    {
        foreach (var child in directory.Children)
        {
            if (child is DirectoryNode below)
                Collect(below, files);
            else if (child is FileNode { Size: > 0 } file)
                files.Add(file);
        }
    }

    private IEnumerable<OpenFile> InOrder(HashSet<FileNode> files)
    {
        var directories = new Dictionary<int, byte[]>();
        var index = 0;
        foreach (var (node, name, parent) in MetaFileWriter.InOrder(source.Tree.Root))
        {
            if (node is DirectoryNode)
            {
                directories[index] = index == 0 ? [] : Path(directories[parent], name);
            }
            else if (node is FileNode file && files.Remove(file))
            {
                file.Chunks = new Digest[Chunk.CountOf(file.Size)];
                yield return new OpenFile(source, file, directories[parent], name);
            }
            index++;
        }
    }

    private static byte[] Path(byte[] directory, byte[] name) => directory.Length == 0 ? name : [.. directory, (byte)'/', .. name];

    private static List<Piece> Hash(List<Part> batch, CancellationToken cancellation)
    {
        var pieces = new List<Piece>();
        try
        {
            foreach (var part in batch)
            {
                for (var n = part.First; n < part.First + part.Count; n++)
                {
                    cancellation.ThrowIfCancellationRequested();
                    pieces.Add(new Piece(part.File, n, part.File.Read(n)));
                }
                part.File.Finished(part.Count);
            }
            return pieces;
        }
        catch
        {
            pieces.ForEach(p => p.Chunk.Dispose());
            batch.ForEach(p => p.File.Dispose());
            throw;
        }
    }

    // Whatever ended the build, every buffer goes back and every file is closed.
    private static async Task DrainAsync(ChannelReader<Task<List<Piece>>> queue, Task feeding)
    {
        while (await queue.WaitToReadAsync(CancellationToken.None).AsTask().ContinueWith(t => t.IsCompletedSuccessfully && t.Result, TaskScheduler.Default).ConfigureAwait(false))
        {
            while (queue.TryRead(out var batch))
            {
                await batch.ContinueWith(
                    t => { if (t.IsCompletedSuccessfully) t.Result.ForEach(p => { p.Chunk.Dispose(); p.File.Dispose(); }); },
                    TaskScheduler.Default).ConfigureAwait(false);
            }
        }
        await feeding.ContinueWith(_ => { }, TaskScheduler.Default).ConfigureAwait(false);
    }

    private readonly record struct Part(OpenFile File, int First, int Count);

    private readonly record struct Piece(OpenFile File, int Index, ChunkBytes Chunk);

    /// <summary>A file that is opened by whoever reads its first chunk and closed by whoever reads its last.</summary>
    private sealed class OpenFile(SourceTree source, FileNode node, byte[] directory, byte[] name) : IDisposable
    {
        private readonly Lock _lock = new();
        private FileBytes? _bytes;
        private int _finished;

        public FileNode Node => node;

        public ChunkBytes Read(int n)
        {
            FileBytes bytes;
            lock (_lock)
                bytes = _bytes ??= source.Open(node, Path(directory, name));
            var at = (long)n << Chunk.SizeLog2;
            var length = (int)long.Min(Chunk.Size, node.Size - at);
            var buffer = ArrayPool<byte>.Shared.Rent(length);
            for (var read = 0; read < length;)
            {
                var got = RandomAccess.Read(bytes.Handle, buffer.AsSpan(read, length - read), bytes.Offset + at + read);
                if (got == 0)
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                    throw new FlistBuildException(FlistBuildCode.SourceChanged, $"'{FlistBuildException.Show(Path(directory, name))}' became shorter while it was read.");
                }
                read += got;
            }
            return new ChunkBytes(Chunk.Hash(buffer.AsSpan(0, length)), buffer, length);
        }

        public void Finished(int chunks)
        {
            if (Interlocked.Add(ref _finished, chunks) != node.Chunks.Length)
                return;
            _bytes?.Finish();
            Dispose();
        }

        public void Dispose()
        {
            lock (_lock)
            {
                _bytes?.Dispose();
                _bytes = null;
            }
        }
    }
}
