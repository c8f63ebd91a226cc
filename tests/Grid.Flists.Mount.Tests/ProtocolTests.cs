using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grid.Flists.Mount.Fuse;
using Grid.Flists.Mount.Interop;
using Grid.Flists.Mount.Serving;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount.Tests;

public sealed class ProtocolTests
{
    // linux/fuse.h
    [Fact]
    public void Structures_have_the_sizes_of_the_kernel()
    {
        Assert.Equal(40, Unsafe.SizeOf<InHeader>());
        Assert.Equal(16, Unsafe.SizeOf<OutHeader>());
        Assert.Equal(16, Unsafe.SizeOf<InitIn>());
        Assert.Equal(64, Unsafe.SizeOf<InitOut>());
        Assert.Equal(88, Unsafe.SizeOf<Attr>());
        Assert.Equal(104, Unsafe.SizeOf<AttrOut>());
        Assert.Equal(128, Unsafe.SizeOf<EntryOut>());
        Assert.Equal(8, Unsafe.SizeOf<OpenIn>());
        Assert.Equal(16, Unsafe.SizeOf<OpenOut>());
        Assert.Equal(40, Unsafe.SizeOf<ReadIn>());
        Assert.Equal(24, Unsafe.SizeOf<ReleaseIn>());
        Assert.Equal(80, Unsafe.SizeOf<StatFsOut>());
        Assert.Equal(24, Unsafe.SizeOf<Dirent>());
        Assert.Equal(16, Unsafe.SizeOf<SysIoctl.BackingMap>());
        Assert.Equal(32, Unsafe.SizeOf<SysMount.MountAttributes>());
    }

    [Theory]
    [InlineData("36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw", "/mnt", "ext3", "/dev/root")]
    [InlineData(@"41 25 0:39 /a\040b /m\134x\011y ro - fuse.flist grid:fl1x@00 ro", "/m\\x\ty", "fuse.flist", "grid:fl1x@00")]
    public void A_mountinfo_line_is_read(string line, string mountpoint, string type, string source)
    {
        var mount = MountTable.Parse(line)!;
        Assert.Equal((mountpoint, type, source), (mount.Mountpoint, mount.Type, mount.Source));
    }

    [Theory]
    [InlineData("")]
    [InlineData("x")]
    [InlineData("36 35 98:0 / /mnt rw,noatime")]
    [InlineData("a 35 98:0 / /mnt rw - ext3 /dev/root rw")]
    public void Another_line_is_none(string line) => Assert.Null(MountTable.Parse(line));

    [Fact]
    public void Requests_of_any_bytes_are_answered_at_most_once_and_never_break_the_server()
    {
        using var wire = new Wire();
        var random = new Random(7);
        Opcode[] opcodes = Enum.GetValues<Opcode>();
        for (var i = 0; i < 60_000; i++)
        {
            var request = new byte[random.Next(4) switch { 0 => random.Next(40), 1 => 40 + random.Next(8), _ => 40 + random.Next(300) }];
            random.NextBytes(request);
            var expects = request.Length >= InHeader.Size;
            if (expects)
            {
                ref var header = ref MemoryMarshal.AsRef<InHeader>(request.AsSpan());
                if (random.Next(10) > 0)
                    header.Length = (uint)request.Length;
                if (random.Next(10) > 0)
                    header.Opcode = opcodes[random.Next(opcodes.Length)];
                if (random.Next(10) > 0)
                    header.Node = (ulong)random.Next(8);
                if (random.Next(3) > 0)
                    header.ExtensionWords = 0;
                // Small numbers reach further than random ones do.
                if (request.Length >= 64 && random.Next(2) == 0)
                    MemoryMarshal.Write(request.AsSpan(48), (ulong)random.Next(300_000));
                if (request.Length >= 64 && random.Next(2) == 0)
                    MemoryMarshal.Write(request.AsSpan(56), random.Next(100_000));
                expects = header.Opcode is not (Opcode.Forget or Opcode.BatchForget or Opcode.Interrupt);
            }
            wire.Send(request);
            if (!expects)
            {
                Assert.Null(wire.Answer(wait: false));
                continue;
            }
            var answer = wire.Answer(wait: true);
            Assert.NotNull(answer);
            var head = MemoryMarshal.Read<OutHeader>(answer);
            Assert.Equal((uint)answer.Length, head.Length);
            Assert.Equal(MemoryMarshal.Read<InHeader>(request).Unique, head.Unique);
            Assert.InRange(head.Error, -511, 0);
            if (head.Error < 0)
                Assert.Equal(OutHeader.Size, answer.Length);
        }
    }

    [Theory]
    [InlineData(Opcode.Write, Errno.EROFS)]
    [InlineData(Opcode.SetAttr, Errno.EROFS)]
    [InlineData(Opcode.Create, Errno.EROFS)]
    [InlineData(Opcode.Flush, Errno.ENOSYS)]
    [InlineData(Opcode.OpenDir, Errno.ENOSYS)]
    [InlineData((Opcode)4711, Errno.ENOSYS)]
    [InlineData(Opcode.Lookup, Errno.EINVAL)]
    [InlineData(Opcode.Init, Errno.EINVAL)]
    internal void An_operation_without_its_body_has_this_answer(Opcode opcode, Errno expected)
    {
        using var wire = new Wire();
        wire.Send(Wire.Request(opcode, 1, []));
        Assert.Equal(-(int)expected, MemoryMarshal.Read<OutHeader>(wire.Answer(wait: true)!).Error);
    }

    [Fact]
    public void An_open_for_writing_is_refused()
    {
        using var wire = new Wire();
        foreach (var flags in (int[])[1, 2, 0x200])
        {
            wire.Send(Wire.Request(Opcode.Open, 2, MemoryMarshal.AsBytes<int>([flags, 0])));
            Assert.Equal(-(int)Errno.EROFS, MemoryMarshal.Read<OutHeader>(wire.Answer(wait: true)!).Error);
        }
    }

    [Fact]
    public void An_old_kernel_is_told_so()
    {
        using var wire = new Wire();
        wire.Send(Wire.Request(Opcode.Init, 0, MemoryMarshal.AsBytes<uint>([7, 30, 131072, 0])));
        Assert.Equal(-(int)Errno.EPROTO, MemoryMarshal.Read<OutHeader>(wire.Answer(wait: true)!).Error);
        wire.Send(Wire.Request(Opcode.Init, 0, MemoryMarshal.AsBytes<uint>([7, 31, 131072, 0])));
        var answer = wire.Answer(wait: true)!;
        Assert.Equal(0, MemoryMarshal.Read<OutHeader>(answer).Error);
        Assert.Equal(0u, MemoryMarshal.Read<InitOut>(answer.AsSpan(OutHeader.Size)).Flags);
    }

    /// <summary>A server behind a socket pair, which keeps message boundaries as /dev/fuse does.</summary>
    private sealed class Wire : IDisposable
    {
        private readonly SafeFileHandle _kernel;
        private readonly SafeFileHandle _memory;
        private readonly FuseDevice _device;
        private readonly FlistServer _server;
        private readonly string _directory = Directory.CreateTempSubdirectory("grid-wire-").FullName;
        private readonly byte[] _scratch = new byte[FlistServer.ScratchSize];
        private readonly byte[] _answer = new byte[FlistServer.ScratchSize + (1 << 20)];

        public Wire()
        {
            var ends = new int[2];
            const int local = 1, sequencedPackets = 5;
            Posix.Check(Posix.SocketPair(local, sequencedPackets, 0, ends), "socketpair");
            _kernel = new SafeFileHandle(ends[0], true);
            _device = new FuseDevice(new SafeFileHandle(ends[1], true));
            _memory = SysMman.CreateMemoryFile("wire", SysMman.MFD_CLOEXEC);
            var content = new byte[300_000];
            var root = TestFlist.Directory_(0);
            var file = new FileNode(new Attributes(0x1A4, 0, 0, 0, XattrSet.Of([("user.a"u8.ToArray(), new byte[60_000])])))
            {
                Size = content.Length,
                Chunks = [.. content.Chunk(Chunk.Size).Select(c => Chunk.Hash(c))],
            };
            root.Set("a"u8.ToArray(), file);
            root.Set("b"u8.ToArray(), file);
            root.Set("c"u8.ToArray(), new SymlinkNode(new Attributes(0x1FF, 0, 0, 0, XattrSet.Empty), "a"u8.ToArray()));
            root.Set("d"u8.ToArray(), TestFlist.Directory_(0));
            var meta = MetaFileWriter.Write(root);
            Directory.CreateDirectory(Path.Combine(_directory, "objects"));
            File.WriteAllBytes(StoredFlist.ObjectPath(_directory, 1), content);
            var log = new MountLog(TextWriter.Null, TimeProvider.System);
            var memory = new MountMemory(_memory, meta.Count);
            _server = new FlistServer(new FlistTree(meta, owners: null), new StoredFlist(meta, _directory), _device, memory, log, threads: 4, CancellationToken.None);
        }

        public static byte[] Request(Opcode opcode, ulong node, ReadOnlySpan<byte> body)
        {
            var request = new byte[InHeader.Size + body.Length];
            MemoryMarshal.Write(request, new InHeader { Length = (uint)request.Length, Opcode = opcode, Unique = 2, Node = node });
            body.CopyTo(request.AsSpan(InHeader.Size));
            return request;
        }

        public void Send(byte[] request) => _server.Handle(request, _scratch);

        /// <summary>The next answer; null when there is none, after ten seconds of waiting or at once.</summary>
        public byte[]? Answer(bool wait)
        {
            var poll = new Poll.Descriptor { File = (int)_kernel.DangerousGetHandle(), Events = Poll.POLLIN };
            int ready;
            do
                ready = Poll.Wait(ref poll, 1, wait ? 10_000 : 0);
            // Signals come to any thread, from children that end and from the collector, and poll(2) is never restarted after one (signal(7)).
            while (ready < 0 && (Errno)Marshal.GetLastPInvokeError() == Errno.EINTR);
            Posix.Check(ready, "poll");
            if (ready == 0)
                return null;
            var length = (int)UniStd.Read(_kernel, _answer, _answer.Length);
            return _answer.AsSpan(0, length).ToArray();
        }

        public void Dispose()
        {
            Assert.True(_server.WaitForEnd(TimeSpan.FromSeconds(10)));
            _device.Dispose();
            _kernel.Dispose();
            _memory.Dispose();
            Directory.Delete(_directory, recursive: true);
        }
    }
}
