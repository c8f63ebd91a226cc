using Grid.Machines;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Tests.Networks;

/// <summary>
/// A machine without its emulator: the network stack of a namespace of its own, whose card is joined to a tap as an emulator joins a guest's.
/// </summary>
internal sealed class Guest : IDisposable
{
    private readonly SafeFileHandle _tap, _card;
    private readonly Thread[] _wires;
    private volatile bool _over;

    /// <param name="emulator">in whose namespace the tap is</param>
    /// <param name="mtu">as the emulator tells it the guest</param>
    public Guest(Space emulator, string tap, int mtu, params string[] commands)
    {
        _tap = emulator.Inside(() => Interop.Tap(tap));
        Space.Ip("tuntap add dev eth0 mode tap", $"link set eth0 address {Machine.Mac(0)} mtu {mtu} addrgenmode none");
        _card = Space.Inside(() => Interop.Tap("eth0"));
        Space.Ip(["link set lo up", "link set eth0 up", .. commands]);
        _wires = [Join(_tap, _card), Join(_card, _tap)];
    }

    public Space Space { get; } = new(ofContainer: false);

    public void Dispose()
    {
        _over = true;
        Array.ForEach(_wires, w => w.Join());
        _tap.Dispose();
        _card.Dispose();
        Space.Dispose();
    }

    private Thread Join(SafeFileHandle from, SafeFileHandle to)
    {
        var wire = new Thread(() =>
        {
            var frame = new byte[2048];
            using var stream = new FileStream(new SafeFileHandle(to.DangerousGetHandle(), ownsHandle: false), FileAccess.Write, 0);
            while (!_over)
            {
                if (Posix.WaitReadable(from, TimeSpan.FromMilliseconds(100)))
                    stream.Write(frame.AsSpan(0, Posix.Read(from, frame)));
            }
        });
        wire.Start();
        return wire;
    }
}
