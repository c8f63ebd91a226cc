using System.Diagnostics;

namespace Grid.Stories.Tests.Stage;

/// <summary>
/// A data disk of a node's own, a file system in a file, of which everything can be read and which can be made to err or be taken away.
/// <code>
/// ROOT          a memory file system, so that there is an end to it
/// ROOT/raw      the disk, as large as that and taking its room as it is written
/// ROOT/there    where the disk is mounted
/// ROOT/away     where it is mounted while it is not there
/// </code>
/// </summary>
public sealed class StageDisk : IDisposable
{
    private readonly string _root;

    /// <param name="whole">volumes lie right where the disk is mounted, and not in a directory on it</param>
    public StageDisk(string root, bool whole = false)
    {
        (_root, Volumes) = (root, Path.Combine(root, whole ? "there" : "there/volumes"));
        foreach (var directory in new[] { root, There, Away })
        {
            Directory.CreateDirectory(directory);
            if (directory == root)
                Execute("/usr/bin/mount", "-t", "tmpfs", "--make-private", "-o", "size=96m", "grid-story", root);
        }
        using (var raw = File.Create(Raw))
            raw.SetLength(96 << 20);
        Execute("/usr/sbin/mkfs.ext4", "-q", "-F", Raw);
        Execute("/usr/bin/mount", "-o", "loop", Raw, There);
        Directory.CreateDirectory(Volumes);
    }

    public string Volumes { get; }

    /// <summary>Of the volumes that lie here.</summary>
    public IReadOnlyList<string> Names() => [.. Directory.GetFiles(Volumes, "*.image").Select(f => Path.GetFileName(f).Split('.')[1]).Order(StringComparer.Ordinal)];

    /// <summary>Whether whoever carries the disk away finds this on it.</summary>
    public bool Holds(ReadOnlySpan<byte> bytes)
    {
        Execute("/usr/bin/sync", "-f", There);
        return File.ReadAllBytes(Raw).AsSpan().IndexOf(bytes) >= 0;
    }

    private string Raw => Path.Combine(_root, "raw");

    private string There => Path.Combine(_root, "there");

    private string Away => Path.Combine(_root, "away");

    /// <summary>From here on no sector can be written that was not before.</summary>
    public void Fill()
    {
        using var file = File.OpenHandle(Path.Combine(_root, "filling"), FileMode.Create, FileAccess.Write);
        var (page, at) = (new byte[4096], 0L);
        try
        {
            for (; ; at += page.Length)
                RandomAccess.Write(file, page, at);
        }
        catch (IOException)
        {
            // Full, which was wanted.
        }
    }

    /// <summary>From here on what lies behind the middle of a file on this disk cannot be read.</summary>
    /// <param name="shown">the file in it whose content is to be read from the disk again, not from memory</param>
    public void Lose(string shown, string image)
    {
        Execute("/usr/bin/sync", "-f", There);
        foreach (var file in new[] { shown, image })
            Execute("/usr/bin/dd", $"if={file}", "iflag=nocache", "count=0", "status=none");
        var (whole, first) = (File.ReadAllBytes(Raw), new byte[4096]);
        using (var file = File.OpenHandle(image, FileMode.Open, FileAccess.Read, FileShare.ReadWrite))
            RandomAccess.Read(file, first, 0);
        // It was allocated in one piece, on a disk that was empty.
        var at = whole.AsSpan().IndexOf(first);
        Assert.InRange(at, 1, whole.Length - (int)new FileInfo(image).Length);
        using var raw = File.OpenHandle(Raw, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        RandomAccess.SetLength(raw, at + new FileInfo(image).Length / 2);
    }

    /// <summary>What the farmer says once the disk is mended, or is good enough.</summary>
    public void Mended() => Execute(Programs.Find("grid-node"), "mended", Volumes);

    public void Move(bool away) => Execute("/usr/bin/mount", "--move", away ? There : Away, away ? Away : There);

    public void Dispose()
    {
        foreach (var mount in new[] { Away, There, _root })
            Posix.Detach(mount);
    }

    private static void Execute(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
