namespace Grid.Flists.Build;

/// <summary>Makes an flist from a source: names first, then every file read and hashed once, then the meta file and the manifest.</summary>
public static class FlistBuilder
{
    /// <exception cref="FlistBuildException">the source cannot become an flist</exception>
    /// <exception cref="FlistFormatException">its tree has what no meta file may have</exception>
    public static async Task<BuiltFlist> BuildAsync(ITreeSource from, BuildOptions options, IContentSink sink, CancellationToken cancellation)
    {
        using var source = await from.ReadAsync(options, cancellation).ConfigureAwait(false);
        await new ContentPipeline(source, sink, options).RunAsync(cancellation).ConfigureAwait(false);
        var meta = MetaFileWriter.Write(source.Tree.Root);
        var manifest = Manifest.Of(meta, options.Platform ?? source.Platform, options.Start ?? source.Start, options.Source);
        // Encoding checks the limits of a manifest: better here than when somebody asks for its id.
        manifest.Encode();
        return new BuiltFlist(meta, manifest, source.Tree.Dropped);
    }
}
