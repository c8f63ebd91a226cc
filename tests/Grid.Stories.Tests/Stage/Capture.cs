using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Grid.Stories.Tests.Stage;

/// <summary>
/// Every frame of every interface of a network namespace, loopback included, as a packet socket sees it (packet(7)). Only what is looked for is kept.
/// </summary>
public sealed class Capture : IDisposable
{
    // ETH_P_ALL in network order.
    private const ProtocolType Everything = (ProtocolType)0x0300;

    private readonly Socket _socket;
    private readonly Thread _reader;
    private readonly byte[] _marker;
    private long _frames;
    private long _found;

    public Capture(string space, string marker)
    {
        _marker = Encoding.ASCII.GetBytes(marker);
        _socket = UnderlayNetwork.Inside(space, () => new Socket(AddressFamily.Packet, SocketType.Raw, Everything) { ReceiveBufferSize = 8 << 20 });
        _reader = new Thread(Read) { IsBackground = true, Name = "capture" };
        _reader.Start();
    }

    public long Frames => Interlocked.Read(ref _frames);

    /// <summary>How many frames held the marker in plain text.</summary>
    public long Found => Interlocked.Read(ref _found);

    /// <summary>How many frames the kernel had no room to show (PACKET_STATISTICS of packet(7)), since it was asked last.</summary>
    public long Lost
    {
        get
        {
            const int Level = 263, Statistics = 6;
            Span<byte> counts = stackalloc byte[8];
            _ = _socket.GetRawSocketOption(Level, Statistics, counts);
            return BitConverter.ToUInt32(counts[4..]);
        }
    }

    /// <summary>Says it in plain on the wire and on loopback, for a capture to prove that it would have seen it.</summary>
    public static void Say(string space, string marker)
    {
        using var socket = UnderlayNetwork.Inside(space, () => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
        foreach (var to in new[] { IPAddress.Parse("10.99.0.200"), IPAddress.Loopback })
            socket.SendTo(Encoding.ASCII.GetBytes(marker), new IPEndPoint(to, 9));
    }

    public void Dispose()
    {
        _socket.Dispose();
        _reader.Join();
    }

    private void Read()
    {
        var frame = new byte[65_536];
        try
        {
            while (true)
            {
                var length = _socket.Receive(frame);
                Interlocked.Increment(ref _frames);
                if (frame.AsSpan(0, length).IndexOf(_marker) >= 0)
                    Interlocked.Increment(ref _found);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It is over.
        }
    }
}
