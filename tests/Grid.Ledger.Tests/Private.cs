using System.Diagnostics;
using Grid.Ledger.Postgres;

namespace Grid.Ledger.Tests;

/// <summary>What a test does to a private cluster from outside.</summary>
internal static class Private
{
    /// <summary>A server's parent directories must be open to the user it runs as; a temporary directory is ours alone.</summary>
    public static void OpenToOthers(string directory) => File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);

    public static Process StartServer(string directory) => Process.Start(Launch.As(ServerUser.Choose(), stopWithUs: false, Path.Combine(directory, "data"), PostgresBinaries.Find().Server,
        "-D", Path.Combine(directory, "data"), "-c", "listen_addresses=", "-c", $"unix_socket_directories={Path.Combine(directory, "socket")}"))!;

    public static Process StartAsServerUser(string program, params string[] arguments) =>
        Process.Start(Launch.As(ServerUser.Choose(), stopWithUs: false, "/", program, arguments))!;
}
