using System.Runtime.InteropServices;
using Grid.Flists.Mount.Fuse;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount.Serving;

internal static class Answers
{
    /// <summary>Puts the header before the body that is already in place and sends both.</summary>
    /// <param name="result">the length of the body, or minus an errno</param>
    /// <returns>false when nobody waits for the answer</returns>
    public static bool Send(FuseDevice device, ulong unique, Span<byte> answer, int result)
    {
        var length = OutHeader.Size + Math.Max(result, 0);
        MemoryMarshal.Write(answer, new OutHeader { Length = (uint)length, Error = Math.Min(result, 0), Unique = unique });
        var error = device.TrySend(answer[..length]);
        if (error is Errno.None)
            return true;
        // The kernel did not take the body: who asked still waits and must hear something.
        if (error is not (Errno.ENOENT or Errno.ENODEV or Errno.EPERM) && result > 0)
            return Send(device, unique, answer, -(int)Errno.EIO);
        return false;
    }
}
