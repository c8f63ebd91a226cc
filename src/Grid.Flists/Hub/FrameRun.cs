using System.Collections.Immutable;
using Grid.Flists.Packs;
using Grid.Units;

namespace Grid.Flists.Hub;

/// <summary>A frame and the chunks wanted from it.</summary>
internal sealed record WantedFrame(ChunkLocation Frame, ImmutableArray<(Digest Hash, ChunkLocation At)> Chunks);

/// <summary>Frames of one pack that lie close enough together for one range request.</summary>
internal sealed record FrameRun(Digest Pack, int From, int Length, ImmutableArray<WantedFrame> Frames)
{
    /// <summary>The most one request asks for; a single frame may be at most 1 MiB.</summary>
    public const int MaximumLength = 8 << 20;

    /// <summary>Bytes that are read and thrown away rather than asked around.</summary>
    private const int Gap = 32 << 10;

    public static ImmutableArray<FrameRun> Plan(IEnumerable<(Digest Hash, ChunkLocation At)> wanted, int maximumLength = MaximumLength)
    {
        var frames = wanted
            .GroupBy(w => (w.At.Pack, w.At.FrameOffset))
            .Select(g => new WantedFrame(g.First().At, [.. g]))
            .OrderBy(f => f.Frame.Pack).ThenBy(f => f.Frame.FrameOffset);
        var runs = ImmutableArray.CreateBuilder<FrameRun>();
        var run = ImmutableArray.CreateBuilder<WantedFrame>();
        foreach (var frame in frames)
        {
            if (run.Count > 0 && !Follows(run[0].Frame, run[^1].Frame, frame.Frame, maximumLength))
                Close();
            run.Add(frame);
        }
        if (run.Count > 0)
            Close();
        return runs.ToImmutable();

        void Close()
        {
            var (first, last) = (run[0].Frame, run[^1].Frame);
            runs.Add(new FrameRun(first.Pack, first.FrameOffset, last.FrameEnd - first.FrameOffset, run.ToImmutable()));
            run.Clear();
        }
    }

    // Frames that overlap come from a lying index; each is then asked for alone.
    private static bool Follows(ChunkLocation first, ChunkLocation last, ChunkLocation next, int maximumLength) =>
        next.Pack == last.Pack && next.FrameOffset >= last.FrameEnd && next.FrameOffset - last.FrameEnd <= Gap
        && next.FrameEnd - first.FrameOffset <= maximumLength;
}
