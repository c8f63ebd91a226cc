using Grid.Node.Containers;
using Grid.Node.Machines;
using Grid.Units;

namespace Grid.Node.Tests.Machines;

/// <summary>Images of flists that are read as slowly as their hubs like.</summary>
public sealed class RootImagesTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly FlistId Slow = new(Digest.Of("slow"u8)), Quick = new(Digest.Of("quick"u8));

    private readonly string _directory = Directory.CreateTempSubdirectory("grid-roots-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task An_flist_that_does_not_answer_holds_up_no_other()
    {
        var images = new RootImages(At("images"), Program());
        var slow = Make(images, Slow, "slow", pipe: true);
        await BegunAsync("slow");
        Assert.Equal("quick", await File.ReadAllTextAsync(await Make(images, Quick, "quick").WaitAsync(Patience, Cancel), Cancel));
        Assert.False(slow.IsCompleted);
        await AnswerAsync("slow");
        Assert.Equal("slow", await File.ReadAllTextAsync(await slow.WaitAsync(Patience, Cancel), Cancel));
    }

    [Fact]
    public async Task An_image_is_made_once_for_all_who_want_it()
    {
        var images = new RootImages(At("images"), Program());
        var first = Make(images, Slow, "slow", pipe: true);
        await BegunAsync("slow");
        var others = Enumerable.Range(0, 4).Select(_ => Make(images, Slow, "slow")).ToList();
        await AnswerAsync("slow");
        var made = await Task.WhenAll(others.Append(first)).WaitAsync(Patience, Cancel);
        Assert.Single(made.Distinct());
        // A second making would have begun.
        Assert.Equal(1, new FileInfo(At("slow/begun")).Length);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private string At(string name) => Path.Combine(_directory, name);

    // In the place of mkfs.erofs: the image is what one file holds.
    private string Program()
    {
        File.WriteAllText(At("mkfs"), """
            #!/bin/sh
            while [ $# -gt 2 ]; do shift; done
            printf . >>"$2/begun" && exec cat "$2/content" >"$1"
            """);
        File.SetUnixFileMode(At("mkfs"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        return At("mkfs");
    }

    private Task<string> Make(RootImages images, FlistId flist, string name, bool pipe = false)
    {
        Directory.CreateDirectory(At(name));
        if (pipe)
            Tool.Run("mkfifo", new Command("/usr/bin/mkfifo", [At($"{name}/content")], []), Patience);
        else if (!File.Exists(At($"{name}/content")))
            File.WriteAllText(At($"{name}/content"), name);
        return Task.Factory.StartNew(() => images.Make(flist, At(name)), Cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private async Task BegunAsync(string name)
    {
        for (var until = DateTime.UtcNow + Patience; !File.Exists(At($"{name}/begun")); await Task.Delay(10, Cancel))
            Assert.True(DateTime.UtcNow < until, "it begins");
    }

    // Whoever opens it to write waits for who reads, so it is opened on a thread that may.
    private Task AnswerAsync(string name) => Task.Factory.StartNew(() => File.WriteAllText(At($"{name}/content"), name), Cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
