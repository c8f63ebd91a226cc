using System.Runtime.InteropServices;

namespace Grid.Flists.Mount.Interop;

/// <summary>A system call failed in a way its caller has no answer for.</summary>
internal sealed class PosixException : IOException
{
    public PosixException(string call) : this(call, (Errno)Marshal.GetLastPInvokeError())
    {
    }

    public PosixException(string call, Errno error) : base($"{call}: {Marshal.GetPInvokeErrorMessage((int)error)} ({error})") => Error = error;

    public Errno Error { get; }
}
