using System.Collections.Immutable;
using System.Diagnostics;
using System.Text;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Volumes;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Volumes;

/// <summary>A node's data disks and its run directory, made for one test; whatever happens, nothing of it stays.</summary>
internal sealed class VolumeLab : IDisposable
{
    public static readonly byte[] Secret = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    public const string Prefix = "grid-volumes-";

    private VolumeHost? _host;

    public VolumeLab()
    {
        Directory.CreateDirectory(Ssd);
        _host = Open(Secret, out var why);
        Assert.SkipWhen(_host is null, why);
    }

    public string Root { get; } = Directory.CreateTempSubdirectory(Prefix).FullName;

    public string Ssd => Path.Combine(Root, "ssd");

    public string Run => Path.Combine(Root, "run");

    public SetClock Clock { get; } = new();

    public List<DataDisk> Disks => field ??= [new DataDisk(Ssd, Media.Ssd)];

    public VolumeHost Host => _host!;

    public static WorkloadKey Key(string name) => new(new AgreementId(Digest.Of("volumes"u8)), name);

    public static Volume Volume(long mebibytes, Media media = Media.Ssd) =>
        new("data", new NodeId(Digest.Of("node"u8)), Bytes.MiB(mebibytes), media, TimeSpan.Zero);

    /// <summary>The agent starts again.</summary>
    public VolumeHost Reopen()
    {
        _host?.Dispose();
        _host = Open(Secret, out var why);
        Assert.True(_host is not null, why);
        return _host;
    }

    public VolumeHost? Open(byte[] secret, out string why) => VolumeHost.Open([.. Disks], Run, secret, Clock, out why);

    public string Image(WorkloadKey key, string? disk = null) => Path.Combine(disk ?? Ssd, $"{key.Agreement}.{key.Name}.image");

    public string KeyFile(WorkloadKey key, string? disk = null) => Path.Combine(disk ?? Ssd, $"{key.Agreement}.{key.Name}.key");

    public static async Task DoneAsync(Task<Outcome> effect) => Assert.Equal(new Outcome.Done(), await effect);

    /// <summary>A small file system of its own as a data disk; the host has it from the next <see cref="Reopen"/> on.</summary>
    /// <returns>the mount point, and the file that is the disk, in a memory file system of the same size</returns>
    public (string Directory, string Raw) AddDisk(string name, long mebibytes, Media media, params string[] make)
    {
        var (directory, beneath) = (Path.Combine(Root, name), Path.Combine(Root, name + "-beneath"));
        Directory.CreateDirectory(directory);
        Directory.CreateDirectory(beneath);
        Execute("/usr/bin/mount", "-t", "tmpfs", "-o", $"size={mebibytes}m", "tmpfs", beneath);
        var raw = Path.Combine(beneath, "raw");
        using (var file = File.Create(raw))
            file.SetLength(mebibytes << 20);
        Execute(make[0], [.. make[1..], raw]);
        // The kernel lets go of the device with the mount.
        Execute("/usr/bin/mount", "-o", "loop", raw, directory);
        Disks.Add(new DataDisk(directory, media));
        return (directory, raw);
    }

    public static string Execute(string program, params string[] args)
    {
        using var process = Process.Start(new ProcessStartInfo(program, args) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', args)}: {errors.Result}");
        return output.Trim();
    }

    /// <summary>As much as the disk really gave the file.</summary>
    public static long Allocated(string path) => long.Parse(Execute("/usr/bin/stat", "-c", "%b", path), null) * 512;

    /// <summary>Where the bytes occur first in what the disk holds, read past every cache of ours.</summary>
    public static bool Contains(string path, ReadOnlySpan<byte> marker)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var buffer = new byte[1 << 20];
        for (long at = 0; RandomAccess.Read(file, buffer, at) is > 0 and var count; at += count <= marker.Length ? count : count - marker.Length)
        {
            if (buffer.AsSpan(0, count).IndexOf(marker) >= 0)
                return true;
        }
        return false;
    }

    public static Digest DigestOf(string path)
    {
        using var file = File.OpenRead(path);
        return new Digest(System.Security.Cryptography.SHA256.HashData(file));
    }

    /// <summary>Loop devices whose file lies below this lab.</summary>
    public ImmutableArray<string> Loops() =>
    [
        .. Directory.EnumerateDirectories("/sys/block", "loop*").Select(d => d + "/loop/backing_file").Where(File.Exists)
            .Select(f => { try { return File.ReadAllText(f).Trim(); } catch (IOException) { return ""; } })
            .Where(f => f.StartsWith(Root + "/", StringComparison.Ordinal)),
    ];

    public void Dispose()
    {
        _host?.Dispose();
        foreach (var mount in MountLine.Read("self").Where(m => m.Point.StartsWith(Root + "/", StringComparison.Ordinal)).Reverse())
            Posix.Detach(mount.Point);
        Directory.Delete(Root, recursive: true);
    }
}

internal sealed class SetClock : TimeProvider
{
    public DateTimeOffset Now { get; set; } = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);

    public override DateTimeOffset GetUtcNow() => Now;
}
