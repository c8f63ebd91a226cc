using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Content;

/// <summary>
/// The bytes of the files of one flist, by the index of their inode in its meta file. Every byte is verified against the tree before it is given out.
/// </summary>
public interface IFlistContent
{
    /// <summary>A read-only handle on a local file that holds exactly the verified content, or null when some of it is missing. The caller disposes it.</summary>
    SafeFileHandle? TryOpenComplete(int inode);

    /// <summary>Fills the buffer from the offset, fetching and verifying what is missing; returns the bytes read, fewer only at the end of the file.</summary>
    /// <exception cref="FlistReadException">the bytes could not be had, or were wrong; says why</exception>
    ValueTask<int> ReadAsync(int inode, long offset, Memory<byte> buffer, CancellationToken cancellation);
}

/// <summary>Bytes of a file could not be had or did not hash to what the tree says. The mount answers EIO.</summary>
public sealed class FlistReadException(string message, Exception? inner = null) : IOException(message, inner);
