using Grid.Flists.Content;
using Grid.Flists.Mount.Fuse;

namespace Grid.Flists.Mount.Serving;

/// <summary>
/// How each inode is open. The kernel allows one backing file per inode and no cached open beside a passed-through one (fs/fuse/iomode.c), so the first
/// open decides for all that overlap it.
/// </summary>
/// <remarks>
/// The counts err on the side of "still open": an open is counted before its answer, a release after it. A daemon killed in between leaves the inode in the
/// mode it has and at most one reference too many, until the unmount.
/// Backing ids belong to the connection, not to the process (measured on Linux 6.18): after a daemon's end, files open by passthrough are read on, and the
/// next daemon must answer an open of such a file with the very same id, or the open fails with EIO. So the ids are in <see cref="MountMemory"/>.
/// </remarks>
internal sealed class OpenFiles(FuseDevice device, FlistTree tree, IFlistContent content, MountMemory memory, MountLog log)
{
    // Registering a backing file costs more than it saves on so little: opened and read warm, a file of some KB takes a third of the time without.
    private const int LargestKept = Chunk.Size;

    private readonly Lock _lock = new();
    private bool _refusalLogged;

    /// <summary>
    /// A small file is never passed through: the kernel keeps what it has read, and an open needs no look at the cache and no count. A file is small or not by
    /// its size alone, so that all daemons of a mount agree.
    /// </summary>
    public bool IsKept(int inode) => tree.Meta[inode].Size <= LargestKept;

    /// <summary>The answer to an open of such a file.</summary>
    public static OpenOut Kept => new() { Flags = OpenFlags.KeepCache | OpenFlags.NoFlush };

    /// <summary>Of a file that is not kept.</summary>
    /// <exception cref="FlistReadException"/>
    public OpenOut Open(int inode)
    {
        var passthrough = (memory.Negotiated & InitFlags.Passthrough) != 0;
        lock (_lock)
        {
            if (memory[inode].Opens > 0 || !passthrough)
                return Count(inode);
        }
        // Outside the lock: a file may be hashed again at its first use.
        using var local = content.TryOpenComplete(inode);
        lock (_lock)
        {
            ref var open = ref memory[inode];
            if (open.Opens == 0 && open.BackingId == 0 && local is not null)
            {
                var id = device.OpenBacking(local);
                if (id > 0)
                    open.BackingId = id;
                else if (!_refusalLogged)
                {
                    _refusalLogged = true;
                    log.Write($"the kernel passes no file through (error {-id}); reads go through the daemon");
                }
            }
            return Count(inode);
        }
    }

    public void Release(int inode)
    {
        if (IsKept(inode))
            return;
        lock (_lock)
        {
            ref var open = ref memory[inode];
            if (open.Opens == 0 || --open.Opens > 0 || open.BackingId == 0)
                return;
            // Forgotten first: a kill between the two lines leaks an id, the other order would leave one that is no longer valid.
            var id = open.BackingId;
            open.BackingId = 0;
            device.CloseBacking(id);
        }
    }

    private OpenOut Count(int inode)
    {
        ref var open = ref memory[inode];
        open.Opens++;
        return new OpenOut
        {
            Flags = open.BackingId > 0 ? OpenFlags.Passthrough | OpenFlags.NoFlush : Kept.Flags,
            BackingId = open.BackingId,
        };
    }
}
