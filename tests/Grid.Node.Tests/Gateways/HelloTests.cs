using System.Buffers;
using System.Buffers.Binary;
using System.Net.Security;
using System.Text;
using Grid.Node.Gateways.Front;

namespace Grid.Node.Tests.Gateways;

/// <summary>What the front reads of a connection before it knows whose it is: bytes from anybody.</summary>
public sealed class HelloTests
{
    [Fact]
    public async Task The_name_is_read_out_of_what_a_real_client_sends()
    {
        var hello = await RealHelloAsync("shop.example.org");
        Assert.Equal((HelloRead.Named, "shop.example.org"), Read(hello));
        // However it arrives: nothing is decided before the message is whole, and nothing else afterwards.
        for (var i = 0; i < hello.Length; i++)
            Assert.Equal((HelloRead.Partial, ""), Read(hello[..i]));
        Assert.Equal((HelloRead.Named, "shop.example.org"), Read([.. hello, 1, 2, 3]));
        for (var i = 1; i < hello.Length - 5; i++)
            Assert.Equal((HelloRead.Named, "shop.example.org"), Read(InTwoRecords(hello, i)));
        Assert.Equal((HelloRead.Named, "shop.example.org"), Read(await RealHelloAsync("SHOP.example.ORG")));
    }

    [Fact]
    public async Task What_names_nobody_or_is_no_hello_is_not_waited_for()
    {
        Assert.Equal(HelloRead.Nameless, Read(await RealHelloAsync("")).Read);
        foreach (var other in new[] { "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "\x16GET", "\x16\x03\x01\x00\x00" })
            Assert.Equal(HelloRead.Nameless, Read(Encoding.Latin1.GetBytes(other)).Read);
        var hello = await RealHelloAsync("shop.example.org");
        foreach (var name in new[] { "shop_example_org"u8.ToArray(), "shop.example\0org"u8.ToArray(), "192.000.002.007."u8.ToArray() })
            Assert.Equal(HelloRead.Nameless, Read(Replaced(hello, name)).Read);
        // Longer than any hello may be, in records that are each fine.
        var endless = Enumerable.Repeat<byte[]>([22, 3, 1, 0x20, 0, .. new byte[0x2000]], 3).SelectMany(r => r).ToArray();
        (endless[5], endless[6], endless[7]) = (1, 0, 0xFF);
        (endless[7], endless[8]) = (0xFF, 0xFF);
        Assert.Equal(HelloRead.Nameless, Read(endless).Read);
    }

    [Fact]
    public async Task No_bytes_at_all_make_it_fail()
    {
        var hello = await RealHelloAsync("shop.example.org");
        var random = new Random(1);
        for (var i = 0; i < 200_000; i++)
        {
            var bytes = hello.ToArray();
            for (var n = random.Next(1, 6); n > 0; n--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            var (read, name) = Read(bytes[..random.Next(bytes.Length + 1)]);
            Assert.True(read is not HelloRead.Named || Grid.Gateways.Hostname.IsValid(name));
        }
    }

    private static (HelloRead Read, string Name) Read(byte[] bytes)
    {
        var read = ClientHello.Read(new ReadOnlySequence<byte>(bytes), out var name);
        return (read, read is HelloRead.Named ? name : "");
    }

    private static byte[] InTwoRecords(byte[] hello, int at)
    {
        var body = hello.AsSpan(5);
        byte[] Record(ReadOnlySpan<byte> fragment)
        {
            var record = new byte[5 + fragment.Length];
            hello.AsSpan(0, 3).CopyTo(record);
            BinaryPrimitives.WriteUInt16BigEndian(record.AsSpan(3), (ushort)fragment.Length);
            fragment.CopyTo(record.AsSpan(5));
            return record;
        }
        return [.. Record(body[..at]), .. Record(body[at..])];
    }

    private static byte[] Replaced(byte[] hello, byte[] name)
    {
        var at = hello.AsSpan().IndexOf("shop.example.org"u8);
        return [.. hello[..at], .. name, .. hello[(at + name.Length)..]];
    }

    // What the framework's own client says first.
    internal static async Task<byte[]> RealHelloAsync(string name)
    {
        using var said = new Said();
        using var tls = new SslStream(said);
        await Assert.ThrowsAnyAsync<Exception>(() => tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = name, ApplicationProtocols = [SslApplicationProtocol.Http2] }));
        return said.Written.ToArray();
    }

    private sealed class Said : Stream
    {
        public MemoryStream Written { get; } = new();

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => 0;

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => Written.Write(buffer, offset, count);
    }
}
