namespace Grid.Flists.Mount.Interop;

/// <summary>errno(3) as the x86-64 and arm64 kernels number them; FUSE answers carry them negated.</summary>
internal enum Errno
{
    None = 0,
    EPERM = 1,
    ENOENT = 2,
    EINTR = 4,
    EIO = 5,
    EBADF = 9,
    EAGAIN = 11,
    EBUSY = 16,
    ENODEV = 19,
    ENOTDIR = 20,
    EISDIR = 21,
    EINVAL = 22,
    EROFS = 30,
    ERANGE = 34,
    ENOSYS = 38,
    ENODATA = 61,
    EPROTO = 71,
    EOPNOTSUPP = 95,
    ENOTCONN = 107,
    ESTALE = 116,
}
