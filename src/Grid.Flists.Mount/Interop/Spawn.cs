using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount.Interop;

/// <summary>spawn.h: a child with exactly the descriptors it is given, in a session of its own.</summary>
internal static partial class Spawn
{
    private const short POSIX_SPAWN_SETSIGDEF = 0x04;
    private const short POSIX_SPAWN_SETSIGMASK = 0x08;
    private const short POSIX_SPAWN_SETSID = 0x80;

    // glibc's and musl's structures are smaller: 336 and 80 bytes, sigset_t is 128.
    private const int StructureSize = 512;

    /// <summary>
    /// Starts a program. Its descriptor 0 is /dev/null, 1 and 2 are <paramref name="output"/>, 3, 4 … the inherited ones; of the others it has only those
    /// without O_CLOEXEC.
    /// </summary>
    /// <returns>the process id</returns>
    /// <exception cref="PosixException"/>
    public static unsafe int Start(string path, ImmutableArray<string> arguments, SafeFileHandle output, ReadOnlySpan<SafeFileHandle> inherited)
    {
        // Safe: both buffers are larger than any libc's structure and live until the call returns.
        byte* actions = stackalloc byte[StructureSize];
        byte* attributes = stackalloc byte[StructureSize];
        byte* signals = stackalloc byte[128];
        new Span<byte>(signals, 128).Clear();
        Check(FileActionsInit(actions), "posix_spawn_file_actions_init");
        Check(AttributesInit(attributes), "posix_spawnattr_init");
        using var nothing = Fcntl.Open("/dev/null", Fcntl.O_RDWR | Fcntl.O_CLOEXEC);
        try
        {
            Check(SetSignalMask(attributes, signals), "posix_spawnattr_setsigmask");
            new Span<byte>(signals, 8).Fill(0xff);
            Check(SetSignalDefaults(attributes, signals), "posix_spawnattr_setsigdefault");
            Check(SetFlags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID), "posix_spawnattr_setflags");

            // A source may itself be one of the numbers 0…n: all are first copied above the highest of them.
            SafeFileHandle[] sources = [nothing, output, output, .. inherited];
            var above = sources.Max(s => (int)s.DangerousGetHandle()) + sources.Length;
            for (var i = 0; i < sources.Length; i++)
                Check(AddDuplicate(actions, (int)sources[i].DangerousGetHandle(), above + i), "posix_spawn_file_actions_adddup2");
            for (var i = 0; i < sources.Length; i++)
            {
                Check(AddDuplicate(actions, above + i, i), "posix_spawn_file_actions_adddup2");
                Check(AddClose(actions, above + i), "posix_spawn_file_actions_addclose");
            }
            Check(PosixSpawn(out var pid, path, actions, attributes, [path, .. arguments, null], Variables()), $"posix_spawn {path}");
            return pid;
        }
        finally
        {
            _ = FileActionsDestroy(actions);
            _ = AttributesDestroy(attributes);
        }
    }

    private static string?[] Variables()
    {
        var variables = Environment.GetEnvironmentVariables();
        var list = new List<string?>(variables.Count + 1);
        foreach (System.Collections.DictionaryEntry pair in variables)
            list.Add($"{pair.Key}={pair.Value}");
        list.Add(null);
        return [.. list];
    }

    private static void Check(int error, string call)
    {
        if (error != 0)
            throw new PosixException(call, (Errno)error);
    }

    [LibraryImport("libc", EntryPoint = "posix_spawn", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int PosixSpawn(out int pid, string path, byte* actions, byte* attributes, string?[] arguments, string?[] environment);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
    private static unsafe partial int FileActionsInit(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
    private static unsafe partial int FileActionsDestroy(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static unsafe partial int AddDuplicate(byte* actions, int from, int to);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addclose")]
    private static unsafe partial int AddClose(byte* actions, int file);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_init")]
    private static unsafe partial int AttributesInit(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_destroy")]
    private static unsafe partial int AttributesDestroy(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setflags")]
    private static unsafe partial int SetFlags(byte* attributes, short flags);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigmask")]
    private static unsafe partial int SetSignalMask(byte* attributes, byte* signals);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigdefault")]
    private static unsafe partial int SetSignalDefaults(byte* attributes, byte* signals);
}
