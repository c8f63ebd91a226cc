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
internal sealed class OpenFiles(FuseDevice device, IFlistContent content, MountMemory memory, MountLog log)
{
    private readonly Lock _lock = new();
    private bool _refusalLogged;

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
            Flags = open.BackingId > 0 ? OpenFlags.Passthrough | OpenFlags.NoFlush : OpenFlags.KeepCache | OpenFlags.NoFlush,
            BackingId = open.BackingId,
        };
    }
}
