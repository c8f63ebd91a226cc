using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Volumes.Interop;
using Grid.Units;

namespace Grid.Node.Machines;

/// <summary>
/// Flists as machines see them: an EROFS each, made from the mounted flist, every byte of which was checked when it was read. An image lives as long as its flist is
/// mounted; one that is found without is of another time, and is made anew.
/// </summary>
internal sealed class RootImages(string directory)
{
    private const string Program = "/usr/bin/mkfs.erofs", Making = ".making";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);
    private readonly Lock _one = new();

    public static string? Missing() => File.Exists(Program) ? null : $"{Program} is not installed";

    /// <exception cref="IOException">it could not be made; the disk may be full</exception>
    public string Make(FlistId flist, string mountpoint)
    {
        lock (_one)
        {
            var image = Of(flist);
            if (File.Exists(image))
                return image;
            Directory.CreateDirectory(directory, DirectoryModes.Private);
            File.Delete(image + Making);
            // An flist without a single attribute says that its file system has none, which mkfs.erofs takes for an error.
            string[] attributes = SysXattr.AreKnown(mountpoint) ? [] : ["-x-1"];
            Tool.Run("mkfs.erofs", new Command(Program, ["--quiet", "-U", Guid.Empty.ToString(), .. attributes, image + Making, mountpoint], ["PATH=/usr/sbin:/usr/bin", "LC_ALL=C"]), Patience);
            File.SetUnixFileMode(image + Making, UnixFileMode.UserRead);
            File.Move(image + Making, image);
            return image;
        }
    }

    public void Remove(FlistId flist)
    {
        if (!Directory.Exists(directory))
            return;
        File.Delete(Of(flist));
        File.Delete(Of(flist) + Making);
    }

    private string Of(FlistId flist) => Path.Combine(directory, $"{flist}.erofs");
}
