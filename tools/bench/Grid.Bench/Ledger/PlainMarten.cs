using JasperFx;
using JasperFx.Events;
using Marten;

namespace Grid.Bench.Ledger;

/// <summary>Marten as it is, on the same cluster: one JSON event of the size of an agreement for a stream of its own.</summary>
internal sealed class PlainMarten : IAsyncDisposable
{
    private readonly DocumentStore _store;

    private PlainMarten(DocumentStore store) => _store = store;

    public static async Task<PlainMarten> OpenAsync(string connectionString)
    {
        var store = DocumentStore.For(o =>
        {
            o.Connection(connectionString);
            o.DatabaseSchemaName = "plain";
            o.AutoCreateSchemaObjects = AutoCreate.CreateOrUpdate;
            o.DisableNpgsqlLogging = true;
            o.Events.AppendMode = EventAppendMode.Quick;
            o.Events.MapEventType<Appended>("appended");
        });
        await store.Storage.ApplyAllConfiguredChangesToDatabaseAsync();
        return new PlainMarten(store);
    }

    public async Task AppendAsync(int events, int size)
    {
        await using var session = _store.LightweightSession();
        for (var i = 0; i < events; i++)
            session.Events.StartStream(Guid.NewGuid(), new Appended(new string('x', size)));
        await session.SaveChangesAsync();
    }

    public ValueTask DisposeAsync() => _store.DisposeAsync();

    private sealed record Appended(string Text);
}
