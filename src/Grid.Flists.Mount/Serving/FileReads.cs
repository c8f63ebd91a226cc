using Grid.Flists.Content;
using Grid.Flists.Mount.Fuse;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount.Serving;

/// <summary>READ: verified bytes or EIO. Each is on its own, so that one which waits for the network holds up no other.</summary>
internal sealed class FileReads(FlistTree tree, IFlistContent content, FuseDevice device, MountLog log, CancellationToken unmounted)
{
    private readonly ReadBuffers _buffers = new();

    /// <summary>Never throws: what goes wrong is answered with EIO and logged.</summary>
    public async Task AnswerAsync(ulong unique, int inode, ReadIn request)
    {
        var left = tree.Meta[inode].Size - (long)Math.Min(request.Offset, long.MaxValue);
        var wanted = (int)Math.Clamp(left, 0, Math.Min(request.Size, ReadBuffers.MaxRead));
        byte[]? buffer = null;
        var result = wanted;
        try
        {
            buffer = _buffers.Rent(OutHeader.Size + wanted);
            if (wanted > 0)
            {
                var read = await content.ReadAsync(inode, (long)request.Offset, buffer.AsMemory(OutHeader.Size, wanted), unmounted).ConfigureAwait(false);
                // The kernel fills a short answer with zeros, and they would be believed.
                if (read != wanted)
                    throw new FlistReadException($"{read} bytes came where the tree has {wanted}");
            }
        }
        catch (OperationCanceledException) when (unmounted.IsCancellationRequested)
        {
            result = -(int)Errno.EIO;
        }
        catch (Exception e)
        {
            log.Write($"{MountDaemon.FailureOf(e)}: read of inode {inode} at {request.Offset}, {wanted} bytes: {e.Message}");
            result = -(int)Errno.EIO;
        }
        Answers.Send(device, unique, buffer ?? new byte[OutHeader.Size], result);
        if (buffer is not null)
            _buffers.Return(buffer);
    }
}
