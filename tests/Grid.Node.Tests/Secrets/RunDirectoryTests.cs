using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Secrets;

namespace Grid.Node.Tests.Secrets;

public sealed class RunDirectoryTests : IDisposable
{
    // Not below /tmp, which may be in memory itself.
    private readonly string _directory = Directory.CreateDirectory($"/var/tmp/grid-run-{Environment.ProcessId}").FullName;

    private string Run => Path.Combine(_directory, "run");

    [Fact]
    public void What_is_on_a_disk_becomes_memory_once_and_goes_when_it_is_left()
    {
        if (!Environment.IsPrivilegedProcess)
            Assert.Skip("Mounting needs root.");
        Assert.True(RunDirectory.Prepare(Run));
        Assert.Equal(("tmpfs", "grid-run"), Mounted());
        File.WriteAllText(Path.Combine(Run, "bundle"), "x");
        // An agent that starts again finds it as it was.
        Assert.True(RunDirectory.Prepare(Run));
        Assert.Single(MountLine.Read("self"), m => m.Point == Run);
        Assert.True(File.Exists(Path.Combine(Run, "bundle")));
        // What lies below is in memory too, and no mount of its own.
        Assert.True(RunDirectory.Prepare(Path.Combine(Run, "below")));
        Assert.Single(MountLine.Read("self"), m => m.Point.StartsWith(Run, StringComparison.Ordinal));

        RunDirectory.Leave(Path.Combine(Run, "below"));
        Assert.NotEqual(default, Mounted());
        RunDirectory.Leave(Run);
        Assert.Equal(default, Mounted());
        Assert.Empty(Directory.EnumerateFileSystemEntries(Run));
        RunDirectory.Leave(Run);
    }

    [Fact]
    public void What_holds_something_already_is_never_covered()
    {
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(Run).FullName, "bundle"), "x");
        Assert.False(RunDirectory.Prepare(Run));
        Assert.True(File.Exists(Path.Combine(Run, "bundle")));
        Assert.Equal(default, Mounted());
    }

    [Fact]
    public void What_is_still_in_use_stays()
    {
        if (!Environment.IsPrivilegedProcess)
            Assert.Skip("Mounting needs root.");
        Assert.True(RunDirectory.Prepare(Run));
        using (File.Create(Path.Combine(Run, "open")))
            RunDirectory.Leave(Run);
        Assert.NotEqual(default, Mounted());
        RunDirectory.Leave(Run);
        Assert.Equal(default, Mounted());
    }

    public void Dispose()
    {
        foreach (var mount in MountLine.Read("self").Where(m => m.Point.StartsWith(_directory, StringComparison.Ordinal)).Reverse())
            Posix.Detach(mount.Point);
        Directory.Delete(_directory, recursive: true);
    }

    private (string? Type, string? Source) Mounted() => MountLine.Read("self").LastOrDefault(m => m.Point == Run) is { } mount ? (mount.Type, mount.Source) : default;
}
