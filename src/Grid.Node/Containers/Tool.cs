using System.Diagnostics;
using System.Text;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Containers;

/// <summary>Runs a program of the machine to its end.</summary>
internal static class Tool
{
    private const int LargestOutput = 1 << 20;

    /// <param name="name">what it is called in an error</param>
    /// <param name="patience">for all of it, whatever it says meanwhile; then it is killed</param>
    /// <param name="given">what it finds as descriptor 3</param>
    /// <returns>what it wrote</returns>
    /// <exception cref="IOException">it failed, with what it wrote</exception>
    public static string Run(string name, Command command, TimeSpan patience, SafeFileHandle? given = null)
    {
        var (code, output) = End(command, patience, given);
        var text = Encoding.UTF8.GetString(output.Span);
        return code is 0 ? text : throw new IOException($"{name} ended with {code}: {text.Trim()}");
    }

    /// <summary>The same for a program that writes secrets.</summary>
    /// <returns>what it wrote, for the caller to wipe</returns>
    /// <exception cref="IOException">it failed; what it wrote is not said</exception>
    public static Memory<byte> RunForSecret(string name, Command command, TimeSpan patience)
    {
        var (code, output) = End(command, patience, null);
        if (code is 0)
            return output;
        output.Span.Clear();
        throw new IOException($"{name} ended with {code}");
    }

    private static (int Code, Memory<byte> Output) End(Command command, TimeSpan patience, SafeFileHandle? given)
    {
        var (read, write) = Posix.Pipe();
        using (read)
        {
            int pid;
            using (write)
                pid = Launcher.Start(command, write, given, null);
            var clock = Stopwatch.StartNew();
            TimeSpan Left() => clock.Elapsed < patience ? patience - clock.Elapsed : TimeSpan.Zero;
            using var process = Posix.OpenProcess(pid);
            var output = ReadAll(read, Left);
            if (process is not null && !Posix.WaitReadable(process, Left()))
                Posix.Signal(process, Posix.SIGKILL);
            return (Posix.Reap(pid), output);
        }
    }

    private static Memory<byte> ReadAll(SafeFileHandle pipe, Func<TimeSpan> left)
    {
        var (buffer, length) = (new byte[4096], 0);
        while (length < LargestOutput && Posix.WaitReadable(pipe, left()) && Posix.Read(pipe, buffer.AsSpan(length)) is > 0 and var count)
        {
            length += count;
            if (length == buffer.Length)
                buffer = Wiping.Grow(buffer);
        }
        return buffer.AsMemory(0, length);
    }
}
