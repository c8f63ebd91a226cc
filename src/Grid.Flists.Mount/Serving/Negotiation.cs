using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grid.Flists.Mount.Fuse;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount.Serving;

/// <summary>FUSE_INIT: what both sides can do is used; only protocol 7.31 itself is required (Linux 5.4).</summary>
internal static class Negotiation
{
    private const uint Major = 7;
    private const uint LowestMinor = 31;
    private const uint HighestMinor = 45;

    // Requests waiting in the kernel that nobody blocks on: read-ahead.
    private const ushort MaxBackground = 64;

    public static InitOut Answer(in FuseRequest request, FlistTree tree, MountMemory memory)
    {
        var init = request.Read<InitIn>();
        if (init.Major != Major || init.Minor < LowestMinor)
            throw new FuseErrorException(Errno.EPROTO);
        var offered = (InitFlags)init.Flags;
        if ((offered & InitFlags.InitExt) != 0 && MemoryMarshal.TryRead(request.Body[Unsafe.SizeOf<InitIn>()..], out uint high))
            offered |= (InitFlags)((ulong)high << 32);

        var wanted = InitFlags.AsyncRead | InitFlags.ParallelDirOps | InitFlags.DoReadDirPlus | InitFlags.CacheSymlinks | InitFlags.NoOpenDirSupport
            | InitFlags.MaxPages | InitFlags.ExportSupport | InitFlags.InitExt | InitFlags.Passthrough | InitFlags.HasResend | InitFlags.AllowIdmap;
        // Access lists cost a GETXATTR per inode, so the kernel is told of them only where there are some.
        if (tree.HasAcls)
            wanted |= InitFlags.PosixAcl;
        var agreed = memory.Negotiated = wanted & offered;
        return new InitOut
        {
            Major = Major,
            Minor = Math.Min(init.Minor, HighestMinor),
            MaxReadahead = Math.Min(init.MaxReadahead, ReadBuffers.MaxRead),
            Flags = (uint)agreed,
            Flags2 = (uint)((ulong)agreed >> 32),
            MaxBackground = MaxBackground,
            CongestionThreshold = MaxBackground * 3 / 4,
            MaxWrite = 4096,
            TimeGranularity = 1_000_000_000,
            MaxPages = ReadBuffers.MaxRead / 4096,
            // An overlay may lie on the mount; the file passed through to may not itself be stacked.
            MaxStackDepth = (agreed & InitFlags.Passthrough) != 0 ? 1u : 0,
        };
    }
}
