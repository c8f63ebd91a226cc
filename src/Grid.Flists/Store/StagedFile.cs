using System.Runtime.InteropServices;
using Grid.Flists.Interop;

namespace Grid.Flists.Store;

/// <summary>
/// A file written aside. <see cref="Commit"/> makes it appear under its name whole and durable, or not at all: fsync, rename, fsync of the directory.
/// Disposed without a commit, it is gone.
/// </summary>
public sealed class StagedFile : IDisposable
{
    private bool _committed;

    public StagedFile(string stagingDirectory)
    {
        Path = System.IO.Path.Combine(stagingDirectory, Guid.NewGuid().ToString("n"));
        Stream = new FileStream(Path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.ReadWrite,
            Share = FileShare.Read,
            BufferSize = 1 << 16,
            Options = FileOptions.Asynchronous,
        });
    }

    public string Path { get; }

    public FileStream Stream { get; }

    /// <summary>Replaces what has the name; stores only name equal bytes equally, so nothing is lost.</summary>
    public void Commit(string path)
    {
        Stream.Flush(flushToDisk: true);
        // 0444: what is named by its hash is not written again.
        if (SysStat.ChangeMode(Stream.SafeFileHandle, 0x124) != 0)
            throw new IOException($"The mode of {Path} could not be set: {Marshal.GetLastPInvokeErrorMessage()}.");
        Stream.Dispose();
        var directory = System.IO.Path.GetDirectoryName(path)!;
        if (!Directory.Exists(directory))
        {
            Directory.CreateDirectory(directory);
            SyncDirectory(System.IO.Path.GetDirectoryName(directory)!);
        }
        File.Move(Path, path, overwrite: true);
        SyncDirectory(directory);
        _committed = true;
    }

    public void Dispose()
    {
        Stream.Dispose();
        if (!_committed)
            File.Delete(Path);
    }

    /// <summary>Makes the names in a directory durable.</summary>
    public static void SyncDirectory(string directory)
    {
        using var handle = Fcntl.Open(directory, Fcntl.ReadOnly | Fcntl.CloseOnExec);
        if (handle.IsInvalid || Unistd.Fsync(handle) != 0)
            throw new IOException($"The directory {directory} could not be synced: {Marshal.GetLastPInvokeErrorMessage()}.");
    }
}
