using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Containers.Interop;

/// <summary>unistd.h, fcntl.h, poll.h, signal.h, sys/wait.h, sys/pidfd.h: the few calls that the framework does not offer.</summary>
internal static unsafe partial class Posix
{
    public const int SIGKILL = 9, SIGTERM = 15;
    public const int EINTR = 4, ESRCH = 3, ENOENT = 2, EINVAL = 22;
    public const int O_RDONLY = 0, O_RDWR = 2, O_CLOEXEC = 0x8_0000;
    private const short POLLIN = 1;

    /// <summary>Both ends close on exec; a child gets one only where it is named.</summary>
    public static (SafeFileHandle Read, SafeFileHandle Write) Pipe()
    {
        var ends = stackalloc int[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            throw Failed("pipe2");
        return (new SafeFileHandle(ends[0], true), new SafeFileHandle(ends[1], true));
    }

    /// <summary>A pipe's end that reads as well as it writes, so that a write to it finds a reader however long the others live (fifo(7); Linux allows it).</summary>
    public static SafeFileHandle OpenBothWays(SafeFileHandle pipe)
    {
        var fd = open($"/proc/self/fd/{Number(pipe)}", O_RDWR | O_CLOEXEC);
        return fd >= 0 ? new SafeFileHandle(fd, true) : throw Failed("open a pipe both ways");
    }

    /// <returns>null when no such process is left</returns>
    public static SafeFileHandle? OpenProcess(int pid)
    {
        var fd = pidfd_open(pid, 0);
        if (fd >= 0)
            return new SafeFileHandle(fd, true);
        return Marshal.GetLastSystemError() is ESRCH or EINVAL ? null : throw Failed("pidfd_open");
    }

    /// <returns>false when the process has ended</returns>
    public static bool Signal(SafeFileHandle process, int signal)
    {
        if (pidfd_send_signal(Number(process), signal, null, 0) == 0)
            return true;
        return Marshal.GetLastSystemError() is ESRCH ? false : throw Failed("pidfd_send_signal");
    }

    /// <summary>Waits until a descriptor can be read, a pidfd until its process has ended.</summary>
    public static bool WaitReadable(SafeFileHandle handle, TimeSpan timeout)
    {
        var entry = new PollFd { Fd = Number(handle), Events = POLLIN };
        int result;
        do
            result = poll(&entry, 1, (int)timeout.TotalMilliseconds);
        while (result < 0 && Marshal.GetLastSystemError() is EINTR);
        return result >= 0 ? result > 0 : throw Failed("poll");
    }

    /// <returns>0 at the end</returns>
    public static int Read(SafeFileHandle handle, Span<byte> buffer)
    {
        nint count;
        // Safe: the kernel writes at most as much as the span holds.
        fixed (byte* start = buffer)
        {
            do
                count = read(Number(handle), start, (nuint)buffer.Length);
            while (count < 0 && Marshal.GetLastSystemError() is EINTR);
        }
        return count >= 0 ? (int)count : throw Failed("read");
    }

    /// <summary>Takes the end of an own child.</summary>
    /// <returns>exit code, or 128 + signal</returns>
    public static int Reap(int pid)
    {
        int status;
        while (waitpid(pid, &status, 0) < 0)
        {
            if (Marshal.GetLastSystemError() is not EINTR)
                throw Failed("waitpid");
        }
        return (status & 0x7F) == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F);
    }

    public static SafeFileHandle OpenPath(string path)
    {
        var fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd >= 0 ? new SafeFileHandle(fd, true) : throw Failed($"open {path}");
    }

    /// <exception cref="IOException">not empty, or still in use</exception>
    public static void RemoveDirectory(string path)
    {
        if (rmdir(path) != 0 && Marshal.GetLastSystemError() is not ENOENT)
            throw new IOException($"rmdir {path}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastSystemError())}");
    }

    public static void Detach(string mountPoint)
    {
        if (umount2(mountPoint, SysMount.MNT_DETACH) != 0 && Marshal.GetLastSystemError() is not (EINVAL or ENOENT))
            throw Failed($"umount {mountPoint}");
    }

    public static Win32Exception Failed(string call)
    {
        var errno = Marshal.GetLastSystemError();
        return new Win32Exception(errno, $"{call}: {Marshal.GetPInvokeErrorMessage(errno)}");
    }

    public static int Number(SafeFileHandle handle) => (int)handle.DangerousGetHandle();

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFd
    {
        public int Fd;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc")]
    private static partial int pipe2(int* fds, int flags);

    [LibraryImport("libc")]
    private static partial nint read(int fd, byte* buffer, nuint count);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rmdir(string path);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string path, int flags);

    [LibraryImport("libc")]
    private static partial int poll(PollFd* fds, nuint count, int timeout);

    [LibraryImport("libc")]
    private static partial int waitpid(int pid, int* status, int options);

    [LibraryImport("libc")]
    private static partial int pidfd_open(int pid, uint flags);

    [LibraryImport("libc")]
    private static partial int pidfd_send_signal(int fd, int signal, void* info, uint flags);
}
