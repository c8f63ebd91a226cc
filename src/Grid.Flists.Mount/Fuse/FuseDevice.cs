using System.Runtime.InteropServices;
using Grid.Flists.Mount.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount.Fuse;

/// <summary>
/// One open /dev/fuse. All threads and all successive daemons share one descriptor, so that the kernel can send again what a killed daemon had read; where it
/// cannot (before Linux 6.9), each daemon has a clone.
/// </summary>
internal sealed class FuseDevice(SafeFileHandle file) : IDisposable
{
    /// <summary>Room for the largest request: a WRITE of the smallest permitted max_write, or a LOOKUP; never less than FUSE_MIN_READ_BUFFER.</summary>
    public const int RequestSize = 64 * 1024;

    private const int NotifyResend = 7;

    /// <summary>Waits for a request.</summary>
    /// <returns>its length, 0 when there is none after all (read again), or -1 when the file system is unmounted</returns>
    /// <exception cref="PosixException"/>
    public int Read(Span<byte> buffer)
    {
        var read = UniStd.Read(file, buffer, buffer.Length);
        if (read > 0)
            return (int)read;
        return read == 0 ? -1 : (Errno)Marshal.GetLastPInvokeError() switch
        {
            // ENOENT: the request was withdrawn between being queued and being read.
            Errno.ENOENT or Errno.EINTR or Errno.EAGAIN => 0,
            Errno.ENODEV => -1,
            var error => throw new PosixException("read /dev/fuse", error),
        };
    }

    /// <summary>Sends one answer, header included.</summary>
    /// <returns>false when nobody waits for it any more (interrupted, or unmounted)</returns>
    public bool Send(ReadOnlySpan<byte> answer) => TrySend(answer) == Errno.None;

    public Errno TrySend(ReadOnlySpan<byte> answer)
    {
        while (UniStd.Write(file, answer, answer.Length) < 0)
        {
            if ((Errno)Marshal.GetLastPInvokeError() is var error && error is not (Errno.EINTR or Errno.EAGAIN))
                return error;
        }
        return Errno.None;
    }

    /// <summary>Asks the kernel to queue again every request that was read and not answered (FUSE_NOTIFY_RESEND, protocol 7.40).</summary>
    public bool Resend()
    {
        var notice = new OutHeader { Length = OutHeader.Size, Error = NotifyResend };
        return Send(MemoryMarshal.AsBytes(new Span<OutHeader>(ref notice)));
    }

    /// <summary>
    /// A descriptor of this process alone for the same connection. What was read from it and not answered fails when the process ends, and does not wait for ever.
    /// </summary>
    /// <exception cref="PosixException"/>
    public FuseDevice Clone()
    {
        var clone = Fcntl.Open("/dev/fuse", Fcntl.O_RDWR | Fcntl.O_CLOEXEC);
        if (clone.IsInvalid || SysIoctl.Ioctl(clone, SysIoctl.FUSE_DEV_IOC_CLONE, (uint)file.DangerousGetHandle()) < 0)
            throw new PosixException("clone /dev/fuse");
        return new FuseDevice(clone);
    }

    /// <summary>Registers a local file for passthrough; the kernel keeps its own reference, the handle may be closed afterwards.</summary>
    /// <returns>the id, above 0; or minus the error</returns>
    public int OpenBacking(SafeFileHandle local)
    {
        var map = new SysIoctl.BackingMap { Descriptor = (int)local.DangerousGetHandle() };
        var id = SysIoctl.Ioctl(file, SysIoctl.FUSE_DEV_IOC_BACKING_OPEN, map);
        return id < 0 ? -Marshal.GetLastPInvokeError() : id;
    }

    public void CloseBacking(int id) => _ = SysIoctl.Ioctl(file, SysIoctl.FUSE_DEV_IOC_BACKING_CLOSE, (uint)id);

    /// <summary>Where this descriptor is in its life: mount(2) can use it once.</summary>
    public FuseDeviceState State
    {
        get
        {
            var poll = new Poll.Descriptor { File = (int)file.DangerousGetHandle(), Events = Poll.POLLIN };
            if (Poll.Wait(ref poll, 1, 0) >= 0 && (poll.Returned & Poll.POLLERR) == 0)
                return FuseDeviceState.Mounted;
            // read(2) does not block here: EPERM before the mount, ENODEV after it (measured on 6.18).
            Span<byte> nothing = stackalloc byte[8192];
            return UniStd.Read(file, nothing, nothing.Length) < 0 && (Errno)Marshal.GetLastPInvokeError() == Errno.EPERM
                ? FuseDeviceState.Fresh
                : FuseDeviceState.Unmounted;
        }
    }

    public void Dispose() => file.Dispose();
}

internal enum FuseDeviceState
{
    Fresh,
    Mounted,
    Unmounted,
}
