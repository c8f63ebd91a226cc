using Grid.Flists.Build;
using Grid.Units;

namespace Grid.Flists.Tests.Build;

/// <summary>A sink that keeps everything, for tests.</summary>
internal sealed class Collected : IContentSink
{
    public List<(Digest Hash, byte[] Bytes)> Chunks { get; } = [];

    public ValueTask AddAsync(ChunkBytes chunk, CancellationToken cancellation)
    {
        using (chunk)
            Chunks.Add((chunk.Hash, chunk.Bytes.ToArray()));
        return ValueTask.CompletedTask;
    }

    public static Task<BuiltFlist> Build(byte[] tar, BuildOptions? options = null, IContentSink? sink = null) =>
        FlistBuilder.BuildAsync(new TarSource(new MemoryStream(tar)), options ?? BuildOptions.Default, sink ?? NoContent.Instance, TestContext.Current.CancellationToken);

    public static Task<BuiltFlist> Build(ITreeSource source, BuildOptions? options = null, IContentSink? sink = null) =>
        FlistBuilder.BuildAsync(source, options ?? BuildOptions.Default, sink ?? NoContent.Instance, TestContext.Current.CancellationToken);
}
