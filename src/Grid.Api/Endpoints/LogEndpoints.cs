using System.Globalization;
using Grid.Ledger.Sequencing;
using Grid.Log;

namespace Grid.Api.Endpoints;

/// <summary>The log itself: proofs, and the static files of C2SP tlog-tiles, which never change once they are full.</summary>
internal sealed class LogEndpoints(Sequencer sequencer)
{
    private const string Forever = "public, max-age=31536000, immutable";

    public void Map(IEndpointRouteBuilder app, RouteGroupBuilder v1)
    {
        v1.MapGet("/proof/{index}", Inclusion).WithMetadata(new Queries("size")).Produces<InclusionDocument>().WithSummary("RFC 6962 inclusion path.");
        v1.MapGet("/consistency", Consistency).WithMetadata(new Queries("from", "to")).Produces<ConsistencyDocument>().WithSummary("RFC 6962 consistency path.");
        app.MapGet("/checkpoint", Checkpoint).Produces<string>(contentType: "text/plain").WithSummary("The newest checkpoint (C2SP tlog-checkpoint).");
        app.MapGet("/tile/{**path}", TileAsync).Produces<byte[]>(contentType: "application/octet-stream").WithSummary("A tile of hashes or a bundle of entries (C2SP tlog-tiles).");
    }

    private IResult Inclusion(string index, string? size)
    {
        var snapshot = sequencer.Current;
        var n = Requests.Number("size", size, 1, snapshot.Size, snapshot.Size);
        var i = Requests.Number("index", index, 0, n - 1, 0);
        return TypedResults.Ok(new InclusionDocument(i, n, [.. snapshot.Tree.InclusionPath(i, n).Select(h => h.ToString())]));
    }

    private IResult Consistency(string? from, string? to)
    {
        var snapshot = sequencer.Current;
        var larger = Requests.Number("to", to, 1, snapshot.Size, snapshot.Size);
        var smaller = Requests.Number("from", from ?? throw new RequestFormatException(new Refusal(RefusalCode.MissingField, "'from' is missing.")), 1, larger, 1);
        return TypedResults.Ok(new ConsistencyDocument(smaller, larger, [.. snapshot.Tree.ConsistencyPath(smaller, larger).Select(h => h.ToString())]));
    }

    private IResult Checkpoint(HttpContext context)
    {
        context.Response.Headers.CacheControl = "no-cache";
        return TypedResults.Text(sequencer.Current.Checkpoint, "text/plain", System.Text.Encoding.UTF8);
    }

    private async Task<IResult> TileAsync(string path, HttpContext context, CancellationToken stop)
    {
        if (!TilePath.TryParse($"tile/{path}", out var tile))
            throw RequestFormatException.Malformed("That is not the name of a tile.", "See https://c2sp.org/tlog-tiles.");
        var snapshot = sequencer.Current;
        if (tile.Width > TilePath.WidthAt(snapshot.Size, tile.Level ?? 0, tile.Index))
            return new Problem(new Refusal(RefusalCode.NotFound, $"A log of {snapshot.Size.ToString(CultureInfo.InvariantCulture)} entries has no such tile."));
        var bytes = tile.Level is { } level ? snapshot.Tree.Tile(level, tile.Index, tile.Width) : await EntriesAsync(tile, stop);
        context.Response.Headers.CacheControl = Forever;
        return TypedResults.Bytes(bytes, "application/octet-stream");
    }

    private async Task<byte[]> EntriesAsync(TilePath tile, CancellationToken stop)
    {
        var first = tile.Index * TilePath.FullWidth;
        var entries = new List<ReadOnlyMemory<byte>>(tile.Width);
        await foreach (var entry in sequencer.Entries.RangeAsync(first, first + tile.Width, stop))
            entries.Add(entry);
        return EntryBundle.Encode(entries);
    }
}
