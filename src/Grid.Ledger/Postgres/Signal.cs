using System.Runtime.InteropServices;

namespace Grid.Ledger.Postgres;

/// <summary>&lt;signal.h&gt;</summary>
internal static partial class Signal
{
    internal const int Interrupt = 2;
    internal const int Quit = 3;
    internal const int Kill = 9;

    /// <returns>-1 when no such process is there or it is not ours to signal</returns>
    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    internal static partial int Send(int process, int signal);
}
