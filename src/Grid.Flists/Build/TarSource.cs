using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Build;

/// <summary>A tar archive, plain or compressed with gzip or zstd, which its first bytes tell. A stream is kept in the spool directory while the build lasts.</summary>
public sealed class TarSource : ITreeSource
{
    private readonly Func<Spool, CancellationToken, FileSlice> _open;
    private SafeFileHandle? _file;

    public TarSource(string path) => _open = (_, _) =>
    {
        if (!File.Exists(path))
            throw new FlistBuildException(FlistBuildCode.SourceMissing, $"There is no file '{path}'.");
        return FileSlice.Whole(_file = Sources.Open(path));
    };

    public TarSource(Stream stream) => _open = (spool, cancellation) => spool.Keep(stream, cancellation);

    public Task<SourceTree> ReadAsync(BuildOptions options, CancellationToken cancellation) => Task.Run(() =>
    {
        var spool = new Spool(options);
        try
        {
            var archive = spool.Unpack(_open(spool, cancellation), cancellation);
            var entries = new TarTree(new TreeBuilder(options, layered: false));
            var reader = new TarReader(archive);
            while (reader.Next() is { } entry)
            {
                cancellation.ThrowIfCancellationRequested();
                entries.Add(archive, entry);
            }
            return (SourceTree)new ArchivedTree(entries, spool, _file);
        }
        catch
        {
            spool.Dispose();
            _file?.Dispose();
            throw;
        }
    }, cancellation);
}

internal static class Sources
{
    /// <exception cref="FlistBuildException">it is no regular file, or must not be read</exception>
    public static SafeFileHandle Open(string path)
    {
        try
        {
            return NamedFile.Open(path);
        }
        catch (IOException e)
        {
            throw new FlistBuildException(FlistBuildCode.SourceUnreadable, e.Message, e);
        }
    }
}

/// <summary>A tree whose files lie in archives.</summary>
internal sealed class ArchivedTree(TarTree entries, params IDisposable?[] held) : SourceTree(entries.Tree)
{
    public override FileBytes Open(FileNode file, byte[] path) => entries.Open(file);

    public override void Dispose()
    {
        foreach (var resource in held)
            resource?.Dispose();
    }
}
