using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Grid.Node.Containers.Interop;

/// <summary>sys/socket.h</summary>
internal static partial class SysSocket
{
    public const int SOCK_CLOEXEC = 0x8_0000;

    /// <summary>The numbers of the framework are others than Linux has.</summary>
    public static int Number(AddressFamily family) => family switch
    {
        AddressFamily.InterNetwork => 2,
        AddressFamily.InterNetworkV6 => 10,
        AddressFamily.Packet => 17,
        _ => throw new ArgumentOutOfRangeException(nameof(family), family, null),
    };

    public static int Number(SocketType type) => type switch
    {
        SocketType.Stream => 1,
        SocketType.Raw => 3,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, null),
    };

    [LibraryImport("libc")]
    public static partial int socket(int family, int type, int protocol);
}
