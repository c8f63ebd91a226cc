using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Machines;

/// <summary>
/// A conversation with an emulator by the QEMU Machine Protocol: one JSON document a line, asked and answered in turn, events in between. It takes one caller at a
/// time, so conversations are short. What it says comes from a process that a guest may have taken over: everything has a limit, and nothing of it is believed
/// beyond that machine.
/// </summary>
internal sealed class Qmp : IDisposable
{
    private const int LongestLine = 1 << 20, LongestReason = 200;

    /// <summary>Of a whole conversation: one that says a little now and then, or of something else without end, is no better than one that is silent.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    private readonly Stopwatch _clock;
    private readonly SafeFileHandle _place;
    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[8192];
    private int _at, _end;

    private Qmp(Stopwatch clock, SafeFileHandle place, Socket socket) => (_clock, _place, _socket) = (clock, place, socket);

    /// <exception cref="IOException">it does not answer, or not as the protocol says</exception>
    public static Qmp Open(ProcessIdentity emulator)
    {
        var clock = Stopwatch.StartNew();
        SafeFileHandle? place = null;
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { SendTimeout = (int)Patience.TotalMilliseconds };
        try
        {
            // Never by a name that is followed out here: what is a link in there would be one to us.
            using (var root = Posix.OpenPath($"/proc/{emulator.Pid}/root"))
                place = SysStat.OpenIn(root, Emulator.Control) ?? throw new IOException("the emulator has no control socket yet");
            if (Processes.Identify(emulator.Pid) != emulator)
                throw new IOException("the emulator has ended");
            socket.Connect(new UnixDomainSocketEndPoint($"/proc/self/fd/{Posix.Number(place)}"));
            var qmp = new Qmp(clock, place, socket);
            qmp.Next();
            qmp.Tell("qmp_capabilities");
            return qmp;
        }
        catch (Exception e)
        {
            socket.Dispose();
            place?.Dispose();
            if (e is System.ComponentModel.Win32Exception)
                throw new IOException($"the emulator does not answer: {e.Message}", e);
            throw;
        }
    }

    /// <exception cref="IOException">it refused, or does not answer</exception>
    public void Tell(string command, JsonObject? arguments = null) => Ask(command, _ => true, arguments);

    /// <returns>what <paramref name="read"/> makes of what it returned</returns>
    /// <exception cref="IOException">it refused, does not answer, or not what can be read</exception>
    public T Ask<T>(string command, Func<JsonNode?, T> read, JsonObject? arguments = null)
    {
        var request = new JsonObject { ["execute"] = command };
        if (arguments is not null)
            request["arguments"] = arguments;
        Send(Encoding.UTF8.GetBytes(request.ToJsonString() + "\n"));
        try
        {
            while (true)
            {
                var answer = Next();
                if (answer["error"] is { } error)
                    throw new IOException($"the emulator refuses {command}: {Short($"{error["desc"]}")}");
                if (answer.ContainsKey("return"))
                    return read(answer["return"]);
            }
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or FormatException or OverflowException)
        {
            // A value of another type, a name twice, half a letter: what the protocol does not have.
            throw new IOException($"the emulator answers {command} with what cannot be read: {Short(e.Message)}", e);
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        _place.Dispose();
    }

    private void Send(ReadOnlySpan<byte> bytes)
    {
        try
        {
            while (!bytes.IsEmpty)
            {
                _socket.SendTimeout = Left();
                bytes = bytes[_socket.Send(bytes)..];
            }
        }
        catch (SocketException e)
        {
            throw new IOException($"the emulator does not listen: {e.Message}", e);
        }
    }

    private JsonObject Next()
    {
        using var line = new MemoryStream();
        try
        {
            for (; line.Length < LongestLine; line.WriteByte(_buffer[_at++]))
            {
                if (_at == _end)
                {
                    _socket.ReceiveTimeout = Left();
                    (_at, _end) = (0, _socket.Receive(_buffer));
                }
                if (_end == 0)
                    throw new IOException("the emulator has hung up");
                if (_buffer[_at] != '\n')
                    continue;
                _at++;
                return JsonNode.Parse(line.GetBuffer().AsSpan(0, (int)line.Length)) as JsonObject ?? throw new IOException("the emulator says what is no object");
            }
        }
        catch (SocketException e)
        {
            throw new IOException($"the emulator does not answer: {e.Message}", e);
        }
        catch (JsonException e)
        {
            throw new IOException($"the emulator says what is no JSON: {e.Message}", e);
        }
        throw new IOException("the emulator does not come to an end");
    }

    /// <returns>in milliseconds, what the conversation may still take</returns>
    private int Left() => (int)(Patience - _clock.Elapsed).TotalMilliseconds is > 0 and var left ? left : throw new IOException($"the emulator does not come to an end within {Patience.TotalSeconds} s");

    private static string Short(string text) => text.Length <= LongestReason ? text : text[..LongestReason];
}
