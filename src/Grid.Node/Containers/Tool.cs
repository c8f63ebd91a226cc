using System.Text;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Containers;

/// <summary>Runs a program of the machine to its end.</summary>
internal static class Tool
{
    private const int LargestOutput = 1 << 20;

    /// <param name="name">what it is called in an error</param>
    /// <param name="patience">for each of its silences, and for its end; then it is killed</param>
    /// <param name="given">what it finds as descriptor 3</param>
    /// <returns>what it wrote</returns>
    /// <exception cref="IOException">it failed, with what it wrote</exception>
    public static string Run(string name, Command command, TimeSpan patience, SafeFileHandle? given = null)
    {
        var (read, write) = Posix.Pipe();
        using (read)
        {
            int pid;
            using (write)
                pid = Launcher.Start(command, write, given, null);
            using var process = Posix.OpenProcess(pid);
            var output = ReadAll(read, patience);
            if (process is not null && !Posix.WaitReadable(process, patience))
                Posix.Signal(process, Posix.SIGKILL);
            return Posix.Reap(pid) is not 0 and var code ? throw new IOException($"{name} ended with {code}: {output.Trim()}") : output;
        }
    }

    private static string ReadAll(SafeFileHandle pipe, TimeSpan patience)
    {
        using var output = new MemoryStream();
        var buffer = new byte[4096];
        while (output.Length < LargestOutput && Posix.WaitReadable(pipe, patience) && Posix.Read(pipe, buffer) is > 0 and var count)
            output.Write(buffer, 0, count);
        return Encoding.UTF8.GetString(output.GetBuffer(), 0, (int)output.Length);
    }
}
