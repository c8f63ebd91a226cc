namespace Grid.Flists.Mount.Fuse;

/// <summary>The flags of INIT that are of use here: bits 0–31 travel in <c>flags</c>, 32–63 in <c>flags2</c>.</summary>
[Flags]
internal enum InitFlags : ulong
{
    None = 0,
    AsyncRead = 1UL << 0,
    ExportSupport = 1UL << 4,
    DoReadDirPlus = 1UL << 13,
    ParallelDirOps = 1UL << 18,
    PosixAcl = 1UL << 20,
    MaxPages = 1UL << 22,
    CacheSymlinks = 1UL << 23,
    NoOpenDirSupport = 1UL << 24,
    InitExt = 1UL << 30,
    Passthrough = 1UL << 37,
    HasResend = 1UL << 39,
    AllowIdmap = 1UL << 40,
}

/// <summary>Flags of an answer to OPEN.</summary>
[Flags]
internal enum OpenFlags : uint
{
    None = 0,
    KeepCache = 1 << 1,
    NoFlush = 1 << 5,
    Passthrough = 1 << 7,
}
