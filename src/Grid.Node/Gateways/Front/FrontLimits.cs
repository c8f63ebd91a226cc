namespace Grid.Node.Gateways.Front;

/// <summary>What one client, one route and all together may hold of the front.</summary>
internal static class FrontLimits
{
    public const int Connections = 8192, ConnectionsOfRoute = 4096;

    public const int StreamsOfConnection = 128, Headers = 100, HeaderBytes = 32 * 1024, RequestLine = 16 * 1024;

    /// <summary>
    /// In bytes per second, after a grace of five: who is slower than that is not sending, or gives no leave to go on (HTTP/2's flow control) while more waits
    /// than Kestrel keeps for a stream. What it keeps, a small answer whole, is waited upon for as long as the connection answers.
    /// </summary>
    public const double SlowestBody = 240;

    /// <summary>
    /// How long a client may leave lying what was sent to it. The rate is of all that ever lay in a buffer, so alone it lets one who stops in the middle of
    /// megabytes hold them for hours; and what is handed through has no rate.
    /// </summary>
    public static readonly TimeSpan Unread = TimeSpan.FromSeconds(30);

    /// <summary>From the connection on: to say whom it wants, to finish TLS, to finish the headers.</summary>
    public static readonly TimeSpan Hello = TimeSpan.FromSeconds(5), Handshake = TimeSpan.FromSeconds(10), RequestHeaders = TimeSpan.FromSeconds(10);

    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(5), KeepAlive = TimeSpan.FromMinutes(2);

    /// <summary>How long a connection, a stream or an exchange may stay silent both ways.</summary>
    public static readonly TimeSpan Silence = TimeSpan.FromMinutes(10);

    public static readonly TimeSpan Dial = TimeSpan.FromSeconds(5);
}
