using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Build;

/// <summary>Where a tree comes from.</summary>
public interface ITreeSource
{
    /// <summary>Reads names and attributes into a tree; the content of its files stays where it is.</summary>
    /// <exception cref="FlistBuildException"/>
    /// <exception cref="FlistFormatException"/>
    Task<SourceTree> ReadAsync(BuildOptions options, CancellationToken cancellation);
}

/// <summary>A tree whose files have sizes but no hashes yet, and where their bytes are.</summary>
public abstract class SourceTree(TreeBuilder tree) : IDisposable
{
    public TreeBuilder Tree { get; } = tree;

    public StartDefaults Start { get; init; } = StartDefaults.None;

    public string Platform { get; init; } = "";

    /// <summary>Opens the content of a file. May be called from several threads.</summary>
    public abstract FileBytes Open(FileNode file, byte[] path);

    public abstract void Dispose();
}

/// <summary>The content of one file while it is read.</summary>
public abstract class FileBytes : IDisposable
{
    public abstract SafeFileHandle Handle { get; }

    /// <summary>Where in the handle the content starts.</summary>
    public abstract long Offset { get; }

    /// <summary>Called when all was read: refuses a file that changed meanwhile.</summary>
    public abstract void Finish();

    public abstract void Dispose();
}
