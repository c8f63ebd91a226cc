using System.Runtime.InteropServices;

namespace Grid.Flists.Mount.Interop;

/// <summary>poll.h.</summary>
internal static partial class Poll
{
    public const short POLLIN = 1;
    public const short POLLERR = 8;
    public const short POLLHUP = 16;

    [StructLayout(LayoutKind.Sequential)]
    public struct Descriptor
    {
        public int File;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static partial int Wait(ref Descriptor descriptors, nuint count, int milliseconds);
}
