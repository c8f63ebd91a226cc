using System.Runtime.InteropServices;

namespace Grid.Flists.Mount.Interop;

/// <summary>sys/wait.h: waitpid(2).</summary>
internal static partial class SysWait
{
    [LibraryImport("libc", EntryPoint = "waitpid", SetLastError = true)]
    private static partial int WaitPid(int pid, out int status, int options);

    /// <summary>Waits for a child's end: its exit code, or minus the signal that killed it.</summary>
    public static int ForExit(int pid)
    {
        int status;
        while (WaitPid(pid, out status, 0) < 0)
        {
            if ((Errno)Marshal.GetLastPInvokeError() != Errno.EINTR)
                throw new PosixException("waitpid");
        }
        return (status & 0x7f) == 0 ? (status >> 8) & 0xff : -(status & 0x7f);
    }
}
