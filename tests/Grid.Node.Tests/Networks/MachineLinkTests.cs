using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Grid.Machines;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Networks;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Tests.Networks;

/// <summary>The test is the machine: what it reads and writes is its side of the tap.</summary>
public abstract class MachineLinkTests(By by)
{
    private const string Told = "TO-THE-MACHINE-83bd", Said = "FROM-THE-MACHINE-2f60", Forged = "FROM-ANOTHER-ADDRESS-9c11";

    [Fact]
    public async Task A_machine_behind_its_tap_hears_its_peers_and_speaks_with_its_own_address_alone()
    {
        using var lab = new Lab(by);
        var (machine, peer) = (lab.Join(lab.A, "machine", "10.20.0.1"), lab.Join(lab.B, "peer", "10.20.0.2"));
        using var emulator = Space.OfEmulator();
        var wish = machine.Wish([machine, peer]) with { Interface = 0 };
        Assert.Equal(new Outcome.Done(), await lab.A.Host.ApplyAsync(machine.Id, wish, emulator.Init));
        await peer.ApplyAsync(machine, peer);
        using var tap = Open(emulator, lab.A.Host.TapOf(machine.Id));
        using var atPeer = new Capture(peer.Container, Said);
        using var forged = new Capture(peer.Container, Forged);

        using (var socket = peer.Container.Make(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)))
            await socket.SendToAsync(Encoding.UTF8.GetBytes(Told), new IPEndPoint(machine.Address, 7), TestContext.Current.CancellationToken);
        var heard = Hear(tap);
        Assert.Equal(Machine.Mac(0), Mac(heard.AsSpan(0, 6)));

        // Answered to whom it came from, first as another.
        Write(tap, heard, IPAddress.Parse("10.20.0.9"), peer.Address, Forged);
        Write(tap, heard, machine.Address, peer.Address, Said);
        Wait.For(() => atPeer.Found > 0, "what the machine said");
        Assert.Equal(0, forged.Found);
        Wait.For(() => lab.A.Host.Observe(_ => emulator.Init)[machine.Id] is TunnelSighting.Present p && p.Fits(wish, DateTimeOffset.UtcNow), "tunnel that fits");

        Assert.Equal(new Outcome.Done(), await lab.A.Host.RemoveAsync(machine.Id));
        Wait.For(() => !emulator.Interfaces.Contains(machine.Interface), "end of the interface");
    }

    private static byte[] Hear(SafeFileHandle tap)
    {
        var frame = new byte[2048];
        while (Posix.WaitReadable(tap, TimeSpan.FromSeconds(15)))
        {
            var count = Posix.Read(tap, frame);
            if (frame.AsSpan(0, count).IndexOf(Encoding.UTF8.GetBytes(Told)) >= 0)
                return frame[..count];
        }
        throw new IOException("The machine hears nothing.");
    }

    private static void Write(SafeFileHandle tap, byte[] heard, IPAddress from, IPAddress to, string text)
    {
        using var stream = new FileStream(new SafeFileHandle(tap.DangerousGetHandle(), ownsHandle: false), FileAccess.Write, 0);
        stream.Write([.. heard.AsSpan(6, 6), .. heard.AsSpan(0, 6), 8, 0, .. Datagram.Udp(from, to, Encoding.UTF8.GetBytes(text))]);
    }

    private static string Mac(ReadOnlySpan<byte> bytes) => string.Join(':', bytes.ToArray().Select(b => $"{b:x2}"));

    private static SafeFileHandle Open(Space space, string name)
    {
        SafeFileHandle? tap = null;
        var thread = new Thread(() =>
        {
            using var inside = Posix.OpenPath(space.Path);
            if (Sched.setns(Posix.Number(inside), Sched.CLONE_NEWNET) == 0)
                tap = Interop.Tap(name);
        });
        thread.Start();
        thread.Join();
        return tap ?? throw new IOException("setns");
    }
}

internal static unsafe partial class Interop
{
    // linux/if_tun.h: TUNSETIFF takes a struct ifreq, of which the name and the flags are read.
    private const nuint TUNSETIFF = 0x4004_54ca;
    private const short IFF_TAP = 0x0002, IFF_NO_PI = 0x1000;

    public static SafeFileHandle Tap(string name)
    {
        var handle = File.OpenHandle("/dev/net/tun", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Span<byte> request = stackalloc byte[40];
        Encoding.ASCII.GetBytes(name, request);
        BitConverter.TryWriteBytes(request[16..], (short)(IFF_TAP | IFF_NO_PI));
        // Safe: the kernel reads and writes no more than the struct.
        fixed (byte* start = request)
        {
            if (ioctl(Posix.Number(handle), TUNSETIFF, start) != 0)
                throw Posix.Failed("TUNSETIFF");
        }
        return handle;
    }

    [LibraryImport("libc")]
    private static partial int ioctl(int fd, nuint request, byte* argument);
}

public sealed class KernelMachineLinkTests() : MachineLinkTests(By.Kernel);

public sealed class ProcessMachineLinkTests() : MachineLinkTests(By.Process);
