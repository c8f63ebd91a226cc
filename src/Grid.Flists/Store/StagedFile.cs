using System.Runtime.InteropServices;
using Grid.Flists.Interop;

namespace Grid.Flists.Store;

/// <summary>
/// A file written aside. <see cref="Commit"/> makes it appear under its name whole and durable, or not at all: fsync, rename, fsync of the directory.
/// Disposed without a commit, it is gone.
/// </summary>
public sealed class StagedFile : IDisposable
{
    private const int Tries = 10;

    private bool _committed;

    public StagedFile(string stagingDirectory)
    {
        (Path, Stream) = Hold(stagingDirectory, path => new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.ReadWrite,
            Share = FileShare.Read,
            BufferSize = 1 << 16,
            Options = FileOptions.Asynchronous,
        }));
    }

    public string Path { get; }

    public FileStream Stream { get; }

    /// <summary>Replaces what has the name; stores only name equal bytes equally, so nothing is lost.</summary>
    /// <param name="durable">false: it appears whole, but a power cut may take it back, or some of its bytes</param>
    public void Commit(string path, bool durable = true)
    {
        Stream.Flush(flushToDisk: durable);
        // 0444: what is named by its hash is not written again.
        if (SysStat.ChangeMode(Stream.SafeFileHandle, 0x124) != 0)
            throw new IOException($"The mode of {Path} could not be set: {Marshal.GetLastPInvokeErrorMessage()}.");
        var directory = System.IO.Path.GetDirectoryName(path)!;
        if (!Directory.Exists(directory))
        {
            Directory.CreateDirectory(directory);
            SyncDirectory(System.IO.Path.GetDirectoryName(directory)!);
        }
        // Still open and locked: what nobody holds is abandoned, and another process that opens the store clears it.
        File.Move(Path, path, overwrite: true);
        _committed = true;
        Stream.Dispose();
        if (durable)
            SyncDirectory(directory);
    }

    public void Dispose()
    {
        Stream.Dispose();
        if (!_committed)
            File.Delete(Path);
    }

    /// <summary>Makes a new file in a staging directory. Whoever clears what is abandoned may come between the making and the lock: then another is made.</summary>
    internal static (string Path, T File) Hold<T>(string stagingDirectory, Func<string, T> create)
        where T : IDisposable
    {
        for (var tries = 1; ; tries++)
        {
            var path = System.IO.Path.Combine(stagingDirectory, Guid.NewGuid().ToString("n"));
            try
            {
                var file = create(path);
                if (File.Exists(path))
                    return (path, file);
                file.Dispose();
            }
            catch (IOException) when (tries < Tries)
            {
                // Locked by who is about to clear it; or the disk is full, which the last try says.
            }
        }
    }

    /// <summary>Makes the names in a directory durable.</summary>
    public static void SyncDirectory(string directory)
    {
        using var handle = Fcntl.Open(directory, Fcntl.ReadOnly | Fcntl.CloseOnExec);
        if (handle.IsInvalid || Unistd.Fsync(handle) != 0)
            throw new IOException($"The directory {directory} could not be synced: {Marshal.GetLastPInvokeErrorMessage()}.");
    }
}
