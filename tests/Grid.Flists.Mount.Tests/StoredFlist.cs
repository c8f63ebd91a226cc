using System.Globalization;
using Grid.Flists.Content;
using Grid.Units;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount.Tests;

/// <summary>
/// An flist in a plain directory: <c>meta</c>, <c>root</c>, <c>objects/inode</c>, and switches that are files too: while <c>lazy</c> is there no object
/// counts as complete; a read of inode N waits while <c>hold-N</c> is there, the opening while <c>hold-open</c> is.
/// </summary>
internal sealed class StoredFlist(MetaFile meta, string directory) : IFlistContent
{
    public static async Task<OpenedFlist> OpenAsync(MountSpec spec, CancellationToken cancellation)
    {
        var directory = spec.CacheDirectory;
        while (File.Exists(Path.Combine(directory, "hold-open")))
            await Task.Delay(5, cancellation);
        var root = Digest.ParseHex(File.ReadAllText(Path.Combine(directory, "root")));
        var meta = MetaFile.Load(File.ReadAllBytes(Path.Combine(directory, "meta")), root);
        return new OpenedFlist(meta, new StoredFlist(meta, directory));
    }

    public SafeFileHandle? TryOpenComplete(int inode) => File.Exists(Path.Combine(directory, "lazy")) ? null : File.OpenHandle(ObjectPath(directory, inode));

    public async ValueTask<int> ReadAsync(int inode, long offset, Memory<byte> buffer, CancellationToken cancellation)
    {
        while (File.Exists(Path.Combine(directory, Name("hold-", inode))))
            await Task.Delay(5, cancellation);
        using var file = File.OpenHandle(ObjectPath(directory, inode));
        var chunk = new byte[Chunk.Size];
        var done = 0;
        while (done < buffer.Length)
        {
            var n = (offset + done) / Chunk.Size;
            var length = await RandomAccess.ReadAsync(file, chunk, n * Chunk.Size, cancellation);
            if (length == 0)
                break;
            if (Chunk.Hash(chunk.AsSpan(0, length)) != meta.Chunk(inode, n))
                throw new FlistReadException($"chunk {n} of inode {inode} has the wrong hash");
            var skip = (int)(offset + done - n * Chunk.Size);
            var take = Math.Min(length - skip, buffer.Length - done);
            chunk.AsSpan(skip, take).CopyTo(buffer.Span[done..]);
            done += take;
        }
        return done;
    }

    public static string ObjectPath(string directory, int inode) => Path.Combine(directory, "objects", Name("", inode));

    public static string Name(string prefix, int inode) => prefix + inode.ToString(CultureInfo.InvariantCulture);
}
