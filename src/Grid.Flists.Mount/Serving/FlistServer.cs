using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grid.Flists.Content;
using Grid.Flists.Mount.Fuse;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount.Serving;

/// <summary>
/// Answers the requests of one mount. Several threads call <see cref="Handle"/> at once; what may wait for the network or a hash never holds the last of them.
/// </summary>
internal sealed class FlistServer
{
    /// <summary>The largest answer that is made in place: an extended attribute of 64 KiB, or as much of a directory.</summary>
    public const int ScratchSize = OutHeader.Size + 2 * FlistLimits.XattrsPerInode;

    private readonly FlistTree _tree;
    private readonly FuseDevice _device;
    private readonly MountMemory _memory;
    private readonly MountLog _log;
    private readonly OpenFiles _opens;
    private readonly FileReads _reads;
    private readonly int _threads;
    private int _slow;
    private int _underWay;

    /// <param name="unmounted">cancels the reads that wait for the network when nobody waits for them</param>
    public FlistServer(FlistTree tree, IFlistContent content, FuseDevice device, MountMemory memory, MountLog log, int threads, CancellationToken unmounted)
    {
        _tree = tree;
        _device = device;
        _memory = memory;
        _log = log;
        _threads = threads;
        _opens = new OpenFiles(device, tree, content, memory, log);
        _reads = new FileReads(tree, content, device, log, unmounted);
    }

    /// <summary>Answers one request. Whatever goes wrong becomes an errno in the answer; nothing is thrown.</summary>
    /// <param name="request">the bytes as read from the device</param>
    /// <param name="scratch">room for the answer, <see cref="ScratchSize"/> bytes</param>
    public void Handle(ReadOnlySpan<byte> request, Span<byte> scratch)
    {
        if (!FuseRequest.TryRead(request, out var parsed))
        {
            _log.Write($"a request of {request.Length} bytes has no header");
            return;
        }
        var header = parsed.Header;
        // FORGET has no answer, and there is nothing to forget. INTERRUPT neither: a signal must not make a read of a file fail (read(2) on a disk never
        // returns EINTR, and a page fault would kill); the read it is about ends by itself.
        if (header.Opcode is Opcode.Forget or Opcode.BatchForget or Opcode.Interrupt)
            return;

        try
        {
            switch (header.Opcode)
            {
                case Opcode.Read:
                    Start(new SlowRequest(header.Unique, File(header.Node), parsed.Read<ReadIn>()));
                    return;
                case Opcode.Open when (parsed.Read<OpenIn>().Flags & (Fcntl.O_ACCMODE | Fcntl.O_TRUNC)) == Fcntl.O_RDONLY:
                    var opened = File(header.Node);
                    if (_opens.IsKept(opened))
                        Send(header.Unique, scratch, Put(scratch[OutHeader.Size..], OpenFiles.Kept));
                    else
                        Start(new SlowRequest(header.Unique, opened, null));
                    return;
                case Opcode.Release:
                    _ = parsed.Read<ReleaseIn>();
                    var released = File(header.Node);
                    Send(header.Unique, scratch, 0);
                    _opens.Release(released);
                    return;
            }
            Send(header.Unique, scratch, Answer(parsed, scratch[OutHeader.Size..]));
        }
        catch (Exception e)
        {
            Send(header.Unique, scratch, -(int)ErrnoOf(e, header.Opcode));
        }
    }

    /// <summary>Waits until nothing is under way any more; false when that took too long.</summary>
    public bool WaitForEnd(TimeSpan patience) => SpinWait.SpinUntil(() => Volatile.Read(ref _underWay) == 0, patience);

    // The length of the answer's body, or minus an errno.
    private int Answer(in FuseRequest request, Span<byte> body)
    {
        var header = request.Header;
        switch (header.Opcode)
        {
            case Opcode.Init:
                return Put(body, Negotiation.Answer(request, _tree, _memory));
            case Opcode.Lookup:
                return Lookup(header.Node, request.Name(), body);
            case Opcode.GetAttr:
                return Put(body, _tree.AttrOut(Inode(header.Node)));
            case Opcode.ReadLink:
                var link = Inode(header.Node);
                return _tree.Meta[link].Type == EntryType.Symlink ? Put(body, _tree.Meta.SymlinkTarget(link)) : -(int)Errno.EINVAL;
            case Opcode.ReadDir or Opcode.ReadDirPlus:
                var list = request.Read<ReadIn>();
                var room = body[..(int)Math.Min(list.Size, (uint)body.Length)];
                return DirectoryListing.Write(_tree, Directory(header.Node), list.Offset, header.Opcode == Opcode.ReadDirPlus, room);
            case Opcode.StatFs:
                return Put(body, Statistics());
            case Opcode.GetXattr when _tree.HasXattrs:
                var get = request.Read<GetXattrIn>();
                return Xattrs.Get(_tree, Inode(header.Node), request.Name(Unsafe.SizeOf<GetXattrIn>()), get.Size, body);
            case Opcode.ListXattr when _tree.HasXattrs:
                return Xattrs.List(_tree.Meta, Inode(header.Node), request.Read<GetXattrIn>().Size, body);
            case Opcode.Access or Opcode.Destroy:
                return 0;
            case Opcode.Open or Opcode.SetAttr or Opcode.Symlink or Opcode.MkNod or Opcode.MkDir or Opcode.Unlink or Opcode.RmDir or Opcode.Rename
                or Opcode.Rename2 or Opcode.Link or Opcode.Write or Opcode.SetXattr or Opcode.RemoveXattr or Opcode.Create or Opcode.FAllocate
                or Opcode.CopyFileRange or Opcode.TmpFile:
                return -(int)Errno.EROFS;
            default:
                // Once said, the kernel does without: FLUSH, OPENDIR, and the extended attributes of a tree that has none.
                return -(int)Errno.ENOSYS;
        }
    }

    private int Lookup(ulong node, ReadOnlySpan<byte> name, Span<byte> body)
    {
        // "." and ".." come only from who opens files by handle (FUSE_EXPORT_SUPPORT), and then for any kind of node.
        if (name.SequenceEqual("."u8))
            return Put(body, _tree.Entry(Inode(node)));
        var directory = Directory(node);
        if (name.SequenceEqual(".."u8))
            return Put(body, _tree.Entry(_tree.Meta[directory].Parent));
        var found = _tree.Meta.Lookup(directory, name);
        return Put(body, found < 0 ? FlistTree.Absent : _tree.Entry(found));
    }

    private StatFsOut Statistics() => new()
    {
        Blocks = (ulong)(_tree.Size + 4095) / 4096,
        Files = (ulong)_tree.Meta.Count,
        BlockSize = 4096,
        FragmentSize = 4096,
        NameLength = 255,
    };

    private void Open(ulong unique, int inode)
    {
        Span<byte> answer = stackalloc byte[OutHeader.Size + 16];
        try
        {
            var open = _opens.Open(inode);
            // Nobody waits any more, so nobody will release it.
            if (!Send(unique, answer, Put(answer[OutHeader.Size..], open)))
                _opens.Release(inode);
        }
        catch (Exception e)
        {
            Send(unique, answer, -(int)ErrnoOf(e, Opcode.Open));
        }
    }

    // A fetch, or a hash over a whole file: done here while another thread is left to take requests, else handed to the pool.
    private void Start(SlowRequest request)
    {
        Interlocked.Increment(ref _underWay);
        try
        {
            if (Interlocked.Increment(ref _slow) < _threads)
                _ = RunAsync(request);
            else
                ThreadPool.UnsafeQueueUserWorkItem(r => _ = RunAsync(r), request, preferLocal: false);
        }
        finally
        {
            Interlocked.Decrement(ref _slow);
        }
    }

    private async Task RunAsync(SlowRequest request)
    {
        try
        {
            if (request.Read is { } read)
                await _reads.AnswerAsync(request.Unique, request.Inode, read).ConfigureAwait(false);
            else
                Open(request.Unique, request.Inode);
        }
        finally
        {
            Interlocked.Decrement(ref _underWay);
        }
    }

    private int Inode(ulong node) => _tree.Inode(node) is var inode and >= 0 ? inode : throw new FuseErrorException(Errno.ESTALE);

    private int Directory(ulong node) =>
        _tree.Meta[Inode(node)].Type == EntryType.Directory ? Inode(node) : throw new FuseErrorException(Errno.ENOTDIR);

    private int File(ulong node) => _tree.Meta[Inode(node)].Type switch
    {
        EntryType.File => _tree.Canonical(Inode(node)),
        EntryType.Directory => throw new FuseErrorException(Errno.EISDIR),
        _ => throw new FuseErrorException(Errno.EINVAL),
    };

    private Errno ErrnoOf(Exception e, Opcode opcode)
    {
        if (e is FuseErrorException known)
            return known.Error;
        _log.Write($"{opcode} failed: {e.GetType().Name}: {e.Message}");
        return Errno.EIO;
    }

    private bool Send(ulong unique, Span<byte> answer, int result) => Answers.Send(_device, unique, answer, result);

    private static int Put<T>(Span<byte> body, in T value) where T : unmanaged
    {
        MemoryMarshal.Write(body, value);
        return Unsafe.SizeOf<T>();
    }

    private static int Put(Span<byte> body, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(body);
        return bytes.Length;
    }

    // An OPEN when it says nothing about reading.
    private readonly record struct SlowRequest(ulong Unique, int Inode, ReadIn? Read);
}
