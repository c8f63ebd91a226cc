using System.Globalization;
using System.Text;

namespace Grid.Stories.Tests.Stage;

/// <summary>
/// A system that boots: Debian's cloud kernel and packages, as they are, an initial RAM disk with the modules that lead to the root, and one script as its first
/// process. It has on each card what its command line says after it (the first, if that names none): addresses, a gateway, and routes. It says the hash of its credential "token", formats the disk "data" if that has no file system yet, leaves a line on it at each boot, and serves it.
/// Every second it writes one more, of which no two are alike, and shows as "lines" those that the disk has confirmed, and as "world" what the server answered that its command line names.
/// </summary>
public static class Systems
{
    public const string Boot = "BOOT-OF-THE-MACHINE", Up = "THE MACHINE IS UP", Kernel = "/boot/vmlinuz", Initrd = "/boot/initrd.img";

    private const string Mmdebstrap = "/usr/bin/mmdebstrap";
    private const UnixFileMode Executable = (UnixFileMode)0b111_101_101;

    private static readonly string[] Later = ["failover", "net_failover", "virtio_net", "button", "evdev", "qemu_fw_cfg"];

    private static readonly string[] Modules = ["crc32c-intel", "libcrc32c", "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk", "erofs"];

    private const string Early = """
        #!/bin/busybox sh
        /bin/busybox mount -t devtmpfs dev /dev
        for module in MODULES; do /bin/busybox insmod /lib/$module.ko; done
        /bin/busybox mount -t erofs -o ro /dev/vda /root
        /bin/busybox mount --move /dev /root/dev
        exec /bin/busybox switch_root /root /sbin/first
        """;

    private const string First = """
        #!/bin/busybox sh
        busybox mount -t tmpfs run /run
        busybox mount -t proc proc /proc
        busybox mount -t sysfs sys /sys
        modules=/lib/modules/$(busybox uname -r)/kernel
        for module in net/core/failover drivers/net/net_failover drivers/net/virtio_net drivers/acpi/button drivers/input/evdev drivers/firmware/qemu_fw_cfg; do busybox insmod $modules/$module.ko; done
        credentials=/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials
        [ -e $credentials/token/raw ] && echo "CREDENTIAL $(busybox sha256sum < $credentials/token/raw)"
        card=eth0
        for word in $(busybox cat /proc/cmdline); do
          case $word in
            card=*) card=${word#card=} ;;
            address=*) busybox ip addr add ${word#address=} dev $card; busybox ip link set $card up ;;
            gateway=*) busybox ip route add default via ${word#gateway=} dev $card ;;
            route=*) way=${word#route=}; busybox ip route add ${way%@*} via ${way#*@} dev $card ;;
            world=*) world=${word#world=} ;;
          esac
        done
        for block in /sys/block/vd*; do
          [ "$(busybox cat $block/serial)" = data ] && disk=${block##*/}
        done
        busybox mount -t ext4 /dev/$disk /mnt 2>/dev/null || { /sbin/mke2fs -q -t ext4 /dev/$disk; busybox mount -t ext4 /dev/$disk /mnt; }
        echo BOOT >> /mnt/index.html
        for page in size lines world; do [ -L /mnt/$page ] || busybox ln -s /run/$page /mnt/$page; done
        boot=$(busybox cat /proc/sys/kernel/random/uuid)
        while :; do
          busybox cat /sys/block/$disk/size > /run/new; busybox mv /run/new /run/size
          [ -z "$world" ] || { printf 'GET / HTTP/1.0\r\n\r\n' | busybox nc -w 2 ${world%:*} ${world#*:} | busybox tail -n 1 | busybox grep . > /run/asked && busybox mv /run/asked /run/world; }
          line=$((line+1)); echo $boot $line >> /mnt/written && busybox sync && busybox cp /mnt/written /run/new && busybox mv /run/new /run/lines
          busybox sleep 1
        done &
        busybox sync
        busybox mkdir -p /run/acpi/PWRF
        printf '#!/bin/busybox sh\necho SHUTTING DOWN\nbusybox mount -o remount,ro /mnt\nbusybox poweroff -f\n' > /run/acpi/PWRF/00000080
        busybox chmod +x /run/acpi/PWRF/00000080
        busybox acpid -d -c /run/acpi -l /dev/console -p /run/acpid.pid &
        echo UP
        while :; do busybox httpd -f -p 8080 -h /mnt; busybox sleep 1; done
        """;

    /// <returns>the tree</returns>
    public static async Task<string> MakeAsync(Stage stage)
    {
        foreach (var program in new[] { Mmdebstrap, "/usr/bin/qemu-system-x86_64", "/usr/bin/mkfs.erofs" })
        {
            if (!File.Exists(program))
                Assert.Skip($"Machines need {program}; run tools/setup.");
        }
        var root = stage.At("system");
        // "extract" unpacks and runs no maintainer script: what is in the tree is what is in the packages.
        await Command.DoAsync(Mmdebstrap, "--variant=extract", "--include=linux-image-cloud-amd64,busybox-static,e2fsprogs", "--quiet", "bookworm", root);
        Directory.Delete(Path.Combine(root, "dev"), recursive: true);
        // What the story does not read is left out, for its time's sake.
        foreach (var unread in new[] { "usr/share", "var" })
            Directory.Delete(Path.Combine(root, unread), recursive: true);
        foreach (var module in Directory.EnumerateFiles(Path.Combine(root, "lib/modules"), "*.ko", SearchOption.AllDirectories).Where(m => !Modules.Concat(Later).Contains(Path.GetFileNameWithoutExtension(m))))
            File.Delete(module);
        foreach (var place in new[] { "dev", "proc", "sys", "run", "mnt", "tmp" })
            Directory.CreateDirectory(Path.Combine(root, place));
        File.Move(Directory.GetFiles(Path.Combine(root, "boot"), "vmlinuz-*").Single(), root + Kernel);
        await File.WriteAllTextAsync(Path.Combine(root, "sbin/first"), First.Replace("echo BOOT", $"echo {Boot}", StringComparison.Ordinal).Replace("echo UP", $"echo {Up}", StringComparison.Ordinal) + "\n");
        File.SetUnixFileMode(Path.Combine(root, "sbin/first"), Executable);
        await File.WriteAllBytesAsync(root + Initrd, Archive(root));
        return root;
    }

    /// <summary>Documentation/driver-api/early-userspace/buffer-format.rst: cpio, "newc", not compressed.</summary>
    private static byte[] Archive(string root)
    {
        using var archive = new MemoryStream();
        foreach (var directory in new[] { "bin", "dev", "lib", "root" })
            Add(archive, directory, 0x41ed, []);
        Add(archive, "bin/busybox", 0x81ed, File.ReadAllBytes(Path.Combine(root, "bin/busybox")));
        Add(archive, "init", 0x81ed, Encoding.ASCII.GetBytes(Early.Replace("MODULES", string.Join(' ', Modules), StringComparison.Ordinal) + "\n"));
        foreach (var module in Directory.EnumerateFiles(Path.Combine(root, "lib/modules"), "*.ko", SearchOption.AllDirectories).Where(m => Modules.Contains(Path.GetFileNameWithoutExtension(m))))
            Add(archive, $"lib/{Path.GetFileName(module)}", 0x81a4, File.ReadAllBytes(module));
        Add(archive, "TRAILER!!!", 0, []);
        return archive.ToArray();
    }

    private static void Add(MemoryStream archive, string name, uint mode, byte[] content)
    {
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        uint[] fields = [(uint)archive.Length, mode, 0, 0, 1, 0, (uint)content.Length, 0, 0, 0, 0, (uint)name.Length + 1, 0];
        archive.Write(Encoding.ASCII.GetBytes("070701" + string.Concat(fields.Select(f => f.ToString("x8", CultureInfo.InvariantCulture))) + name + '\0'));
        archive.Write(new byte[(4 - archive.Length % 4) % 4]);
        archive.Write(content);
        archive.Write(new byte[(4 - archive.Length % 4) % 4]);
    }
}
