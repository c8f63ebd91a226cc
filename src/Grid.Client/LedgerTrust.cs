using Grid.Log;
using Grid.Statements;

namespace Grid.Client;

/// <summary>The one thing a client is told rather than shown: which ledger it talks to and by which key that ledger signs.</summary>
/// <param name="Origin">the ledger's name, as in its checkpoints</param>
public sealed record LedgerTrust(string Origin, PublicKey Key);

/// <summary>
/// Remembers the last checkpoint that was believed, as the signed note it came in. Whoever keeps it cannot be shown a shorter or another
/// history later.
/// </summary>
public interface ICheckpointStore
{
    /// <summary>Null when nothing was seen before.</summary>
    ValueTask<string?> LoadAsync(CancellationToken cancellation);

    /// <summary>Durable when it returns.</summary>
    ValueTask SaveAsync(string note, CancellationToken cancellation);
}

/// <summary>For one process's life.</summary>
public sealed class MemoryCheckpointStore(string? note = null) : ICheckpointStore
{
    public string? Note { get; private set; } = note;

    public ValueTask<string?> LoadAsync(CancellationToken cancellation) => ValueTask.FromResult(Note);

    public ValueTask SaveAsync(string note, CancellationToken cancellation)
    {
        Note = note;
        return ValueTask.CompletedTask;
    }
}

/// <summary>One small file, replaced whole, so that a crash leaves the old one or the new one.</summary>
public sealed class FileCheckpointStore(string path) : ICheckpointStore
{
    public async ValueTask<string?> LoadAsync(CancellationToken cancellation)
    {
        if (!File.Exists(path))
            return null;
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        using var reader = new StreamReader(file);
        var buffer = new char[SignedNote.MaximumSize + 1];
        return new string(buffer, 0, await reader.ReadBlockAsync(buffer, cancellation).ConfigureAwait(false));
    }

    public async ValueTask SaveAsync(string note, CancellationToken cancellation)
    {
        PrivateDirectory.Make(Path.GetDirectoryName(Path.GetFullPath(path))!);
        // One process may hold several stores of one file.
        var temporary = $"{path}.{Environment.ProcessId}-{Guid.NewGuid():n}.new";
        await using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write))
        {
            await file.WriteAsync(System.Text.Encoding.UTF8.GetBytes(note), cancellation).ConfigureAwait(false);
            file.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
    }
}
