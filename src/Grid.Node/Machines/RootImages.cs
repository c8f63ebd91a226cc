using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Volumes.Interop;
using Grid.Units;

namespace Grid.Node.Machines;

/// <summary>
/// Flists as machines see them: an EROFS each, made from the mounted flist, every byte of which was checked when it was read. An image lives as long as its flist is
/// mounted; one that is found without is of another time, and is made anew.
/// </summary>
/// <param name="program">mkfs.erofs, or what does the same</param>
internal sealed class RootImages(string directory, string program = RootImages.Program)
{
    private const string Program = "/usr/bin/mkfs.erofs", Making = ".making";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    // The flists of which an image is being made. One at a time of each, and of others meanwhile: how long one takes is its hub's matter.
    private readonly HashSet<FlistId> _making = [];

    public static string? Missing() => File.Exists(Program) ? null : $"{Program} is not installed";

    /// <exception cref="IOException">it could not be made; the disk may be full</exception>
    public string Make(FlistId flist, string mountpoint)
    {
        lock (_making)
        {
            while (!_making.Add(flist))
                Monitor.Wait(_making);
        }
        try
        {
            return MakeAlone(flist, mountpoint);
        }
        finally
        {
            lock (_making)
            {
                _making.Remove(flist);
                Monitor.PulseAll(_making);
            }
        }
    }

    public void Remove(FlistId flist)
    {
        if (!Directory.Exists(directory))
            return;
        File.Delete(Of(flist));
        File.Delete(Of(flist) + Making);
    }

    private string MakeAlone(FlistId flist, string mountpoint)
    {
        var image = Of(flist);
        if (File.Exists(image))
            return image;
        Directory.CreateDirectory(directory, DirectoryModes.Private);
        File.Delete(image + Making);
        // An flist without a single attribute says that its file system has none, which mkfs.erofs takes for an error.
        string[] attributes = SysXattr.AreKnown(mountpoint) ? [] : ["-x-1"];
        Tool.Run("mkfs.erofs", new Command(program, ["--quiet", "-U", Guid.Empty.ToString(), .. attributes, image + Making, mountpoint], ["PATH=/usr/sbin:/usr/bin", "LC_ALL=C"]), Patience);
        File.SetUnixFileMode(image + Making, UnixFileMode.UserRead);
        File.Move(image + Making, image);
        return image;
    }

    private string Of(FlistId flist) => Path.Combine(directory, $"{flist}.erofs");
}
