using System.Diagnostics;
using Grid.Node.Containers.Interop;
using Grid.Node.Secrets;

namespace Grid.Node.Tests.Secrets;

public sealed class MemoryMountTests
{
    /// <summary>The second is what a kernel gets that cannot keep a tmpfs from the swap.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Whoever_owns_it_walks_into_it_and_nobody_else(bool ofEveryKernel)
    {
        if (!Environment.IsPrivilegedProcess)
            Assert.Skip("Mounting needs root.");
        using var mount = ofEveryKernel ? MemoryMount.OfEveryKernel("secrets", "0500", 1234, 5678) : MemoryMount.Make("secrets", "4m", "0500", 1234, 5678);
        var root = $"/proc/{Environment.ProcessId}/fd/{Posix.Number(mount)}/.";
        using var stat = Process.Start(new ProcessStartInfo("/usr/bin/stat", ["-c", "%u:%g %a", root]) { RedirectStandardOutput = true })!;
        Assert.Equal("1234:5678 500\n", stat.StandardOutput.ReadToEnd());
        stat.WaitForExit();
        Assert.Equal(0, stat.ExitCode);
    }
}
