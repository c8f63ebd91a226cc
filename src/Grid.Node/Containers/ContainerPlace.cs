using Grid.Node.Containers.Interop;

namespace Grid.Node.Containers;

/// <summary>
/// A directory that is named after one container and holds what is mounted for it. The container's root, nobody in particular out here, walks through it;
/// no other user of the machine does, whatever the modes of the tenant's files are.
/// </summary>
internal static class ContainerPlace
{
    /// <summary>Makes it, or makes it this range's. Cut short, it is found again by its name, and open to root alone.</summary>
    /// <exception cref="IOException"/>
    /// <exception cref="System.ComponentModel.Win32Exception"/>
    public static void Make(string path, UidRange uids)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!, DirectoryModes.Passed);
        Directory.CreateDirectory(path, DirectoryModes.Private);
        SysStat.SetOwner(path, uids.First, uids.First);
    }
}
