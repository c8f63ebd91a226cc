using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount.Interop;

/// <summary>
/// A user namespace with a given range, made without giving this process another: unshare(2) refuses a program with threads, so a child is cloned into the
/// namespace, its descriptor is opened, and the child ends.
/// </summary>
internal static partial class UserNamespace
{
    private const nuint CLONE_FILES = 0x400;
    private const nuint CLONE_NEWUSER = 0x1000_0000;
    private const nuint SIGCHLD = 17;
    private const nuint SIGKILL = 9;
    private const nuint PR_SET_PDEATHSIG = 1;
    private const nuint PR_GET_DUMPABLE = 3;

    // clone, prctl, ppoll, kill: the numbers of the system calls on x86-64 and on arm64.
    private static readonly (nint Clone, nint Prctl, nint Poll, nint Kill) Call =
        RuntimeInformation.ProcessArchitecture == Architecture.X64 ? (56, 157, 271, 62) : (220, 167, 73, 129);

    /// <param name="outsideBase">the uid and gid outside that is 0 inside</param>
    /// <param name="count">how many there are</param>
    /// <exception cref="PosixException"/>
    public static SafeFileHandle Create(uint outsideBase, uint count)
    {
        var child = Clone();
        if (child < 0)
            throw new PosixException("clone(CLONE_NEWUSER)", (Errno)Marshal.GetLastSystemError());
        try
        {
            var map = string.Create(CultureInfo.InvariantCulture, $"0 {outsideBase} {count}\n");
            File.WriteAllText($"/proc/{child}/uid_map", map);
            File.WriteAllText($"/proc/{child}/gid_map", map);
            var handle = Fcntl.Open($"/proc/{child}/ns/user", Fcntl.O_RDONLY | Fcntl.O_CLOEXEC);
            return handle.IsInvalid ? throw new PosixException("open ns/user") : handle;
        }
        finally
        {
            _ = SystemCall(Call.Kill, (nuint)child, SIGKILL, 0, 0, 0);
            _ = SysWait.ForExit(child);
        }
    }

    // Safe in a program with threads because the child, which has none but this one, makes two system calls and nothing else: no allocation, no lock, no
    // managed transition. Should the runtime stop it at a safe point, it waits there for ever, which is all it is for. It dies with its parent.
    private static int Clone()
    {
        var (clone, prctl, poll, _) = Call;
        // Bound before the clone, so that the child finds it bound.
        _ = SystemCall(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
        var child = SystemCall(clone, CLONE_NEWUSER | CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
        if (child != 0)
            return (int)child;
        _ = SystemCall(prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        while (true)
            _ = SystemCall(poll, 0, 0, 0, 0, 0);
    }

    // No transition: the child must not look at the runtime's state of the thread it was cloned from.
    [SuppressGCTransition]
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = false)]
    private static partial nint SystemCall(nint number, nuint a, nuint b, nuint c, nuint d, nuint e);
}
