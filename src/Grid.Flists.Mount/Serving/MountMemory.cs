using System.IO.MemoryMappedFiles;
using System.Runtime.CompilerServices;
using Grid.Flists.Mount.Fuse;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount.Serving;

/// <summary>
/// The little that must outlive a killed daemon, in an anonymous file that the supervisor keeps: what was agreed at INIT, and per inode how it is open.
/// Written by one daemon at a time; each field is a word, so a kill leaves no half of one.
/// </summary>
internal sealed unsafe class MountMemory : IDisposable
{
    private const int HeaderSize = 64;

    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private readonly int _inodes;

    public MountMemory(SafeFileHandle file, int inodes)
    {
        _inodes = inodes;
        var length = HeaderSize + (long)inodes * sizeof(OpenInode);
        if (RandomAccess.GetLength(file) < length)
            RandomAccess.SetLength(file, length);
        _map = MemoryMappedFile.CreateFromFile(file, null, length, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: false);
        _view = _map.CreateViewAccessor(0, length);
        // Safe: the view is as long as the table says and is released in Dispose only.
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
    }

    /// <summary>The flags of INIT in force on this connection; none before INIT.</summary>
    public InitFlags Negotiated
    {
        get => (InitFlags)Volatile.Read(ref Unsafe.AsRef<ulong>(_start));
        set => Volatile.Write(ref Unsafe.AsRef<ulong>(_start), (ulong)value);
    }

    /// <summary>The kernel sends again what a daemon read and did not answer (protocol 7.40).</summary>
    public bool CanResend => (Negotiated & InitFlags.HasResend) != 0;

    public ref OpenInode this[int inode]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)inode, (uint)_inodes);
            return ref Unsafe.AsRef<OpenInode>(_start + HeaderSize + (long)inode * sizeof(OpenInode));
        }
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
    }

    /// <param name="BackingId">the kernel's id of the passed-through file, 0 when opens go through the daemon</param>
    /// <param name="Opens">how many opens the kernel may still hold; never too few, after a kill perhaps too many</param>
    internal record struct OpenInode(int BackingId, int Opens);
}
