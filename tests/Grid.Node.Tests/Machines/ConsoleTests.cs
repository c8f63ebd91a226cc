using System.Buffers.Binary;
using System.Text;
using Grid.Node.Containers;
using Grid.Node.Machines;
using Grid.Node.Tests.Containers;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Machines;

[Collection(OnThisMachine.Name)]
public sealed class ConsoleTests(Containers.Machine on)
{
    /// <summary>A guest that says more than may be kept, and turns itself off.</summary>
    [Fact]
    public async Task What_a_guest_says_is_bounded_on_disk_and_its_newest_lines_are_kept()
    {
        var place = Path.Combine(on.Paths.Run, "console");
        var flist = Path.Combine(place, "flist");
        var machines = MachineHost.Open(Path.Combine(place, "machines"), Path.Combine(place, "images"), TimeProvider.System, out var why);
        Assert.SkipWhen(machines is null, why);
        Directory.CreateDirectory(Path.Combine(flist, "boot"));
        File.WriteAllBytes(flist + EmulatorTests.Machine.Kernel, TalkingKernel());
        File.WriteAllBytes(flist + EmulatorTests.Machine.Initrd, new byte[512]);
        var machine = EmulatorTests.Machine with { Disks = [], Secrets = [], Networks = [], Logs = Bytes.KiB(64) };
        var key = new WorkloadKey(new AgreementId(Digest.Of("a guest that talks"u8)), machine.Name);
        var id = ContainerId.Of(key);
        try
        {
            var (spec, prepared) = await machines!.PrepareAsync(new Wish(key, default, machine, Paused: false), 1, Containers.Machine.Uids, (flist, flist), null, [], 0, [], anew: true);
            Assert.Equal(new Outcome.Done(), prepared);
            Assert.Equal(new Outcome.Done(), await on.Host.StartAsync(spec!));
            await on.UntilAsync(id, p => p.Phase is Phase.Exited);

            var lines = await on.LinesAsync(id);
            Assert.Equal(["line 19998", "line 19999"], lines.Where(l => l.Text.StartsWith("line ", StringComparison.Ordinal)).TakeLast(2).Select(l => l.Text));
            Assert.DoesNotContain(lines, l => l.Text == "line 00000");
            // Of more than a MiB: each line is kept with its time.
            Assert.InRange(Directory.EnumerateFiles(on.Paths.Logs, $"{id}*").Sum(f => new FileInfo(f).Length), 1, Bytes.KiB(64).Value);
        }
        finally
        {
            Assert.Equal(new Outcome.Done(), await on.Host.RemoveAsync(id, keepLog: false));
            machines!.Hide(id);
            Directory.Delete(place, recursive: true);
        }
    }

    /// <summary>
    /// The least that is started as a kernel (Documentation/arch/x86/boot.rst): a header, and code in real mode that writes twenty thousand lines to the first
    /// serial port and then turns the chipset off.
    /// </summary>
    private static byte[] TalkingKernel()
    {
        var image = new byte[2048];
        image[0x1f1] = 1;                                                        // sectors of this code
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x1fe), 0xaa55);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x200), 0x6aeb);   // jmp 0x26c
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x206), 0x020c);   // protocol
        image[0x211] = 1;                                                        // the rest is loaded high
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x22c), 0x37ff_ffff);
        byte[] code =
        [
            0xfc,                           //        cld
            0x80, 0x3e, 0xc5, 0x02, 0x32,   // next:  cmp byte [first digit], '2'
            0x73, 0x29,                     //        jae off
            0xbe, 0xc0, 0x02,               //        mov si, text
            0xac,                           // char:  lodsb
            0x84, 0xc0,                     //        test al, al
            0x74, 0x11,                     //        jz count
            0x88, 0xc4,                     //        mov ah, al
            0xba, 0xfd, 0x03,               // wait:  mov dx, 3fdh
            0xec,                           //        in al, dx
            0xa8, 0x20,                     //        test al, 20h
            0x74, 0xf8,                     //        jz wait
            0x88, 0xe0,                     //        mov al, ah
            0xb2, 0xf8,                     //        mov dl, 0f8h
            0xee,                           //        out dx, al
            0xeb, 0xea,                     //        jmp char
            0xbf, 0xc9, 0x02,               // count: mov di, last digit
            0xfe, 0x05,                     // more:  inc byte [di]
            0x80, 0x3d, 0x39,               //        cmp byte [di], '9'
            0x76, 0xd6,                     //        jbe next
            0xc6, 0x05, 0x30,               //        mov byte [di], '0'
            0x4f,                           //        dec di
            0xeb, 0xf3,                     //        jmp more
            0xba, 0x04, 0x06,               // off:   mov dx, 604h
            0xb8, 0x00, 0x20,               //        mov ax, 2000h
            0xef,                           //        out dx, ax
            0xf4,                           //        hlt
            0xeb, 0xf6,                     //        jmp off
        ];
        code.CopyTo(image, 0x26c);
        "line 00000\n\0"u8.CopyTo(image.AsSpan(0x2c0));
        return image;
    }
}
