using Grid.Flists.Store;

namespace Grid.Flists.Tests;

public sealed class StagedFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grid-staged-").FullName;

    private string Staging => Path.Combine(_directory, "staging");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task What_is_written_aside_is_not_cleared_by_whoever_opens_the_store_meanwhile()
    {
        _ = DirectoryStore.Open(_directory);
        using var over = new CancellationTokenSource();
        var opening = Task.Run(
            () =>
            {
                while (!over.IsCancellationRequested)
                    _ = DirectoryStore.Open(_directory);
            },
            TestContext.Current.CancellationToken);
        for (var i = 0; i < 1000; i++)
        {
            using var staged = new StagedFile(Staging);
            staged.Stream.WriteByte(1);
            staged.Commit(Path.Combine(_directory, "kept", $"{i}"));
        }
        await over.CancelAsync();
        await opening;
        Assert.Equal(1000, Directory.GetFiles(Path.Combine(_directory, "kept")).Length);
        Assert.Empty(Directory.GetFiles(Staging));
    }

    [Fact]
    public void What_somebody_left_is_cleared()
    {
        _ = DirectoryStore.Open(_directory);
        File.WriteAllText(Path.Combine(Staging, "left"), "half");
        _ = DirectoryStore.Open(_directory);
        Assert.Empty(Directory.GetFiles(Staging));
    }
}
