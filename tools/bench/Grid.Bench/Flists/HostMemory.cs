using System.Runtime.InteropServices;

namespace Grid.Bench.Flists;

/// <summary>
/// A virtual machine that gives its free pages back to its host (virtio-balloon's free page reporting) pays for each that it takes again: up to 11 µs for 4 KiB
/// where this was written, which is more than fetching, checking and storing them takes. Taken and freed just before the clock begins, pages are the machine's own.
/// </summary>
internal static unsafe class HostMemory
{
    private const nuint Page = 4096;

    public static void Take(nuint bytes)
    {
        var memory = (byte*)NativeMemory.Alloc(bytes);
        for (nuint at = 0; at < bytes; at += Page)
            memory[at] = 1;
        NativeMemory.Free(memory);
    }
}
