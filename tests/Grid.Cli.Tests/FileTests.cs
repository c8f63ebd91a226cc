using System.Diagnostics;
using Grid.Cli.Settings;

namespace Grid.Cli.Tests;

/// <summary>What is done with the files that a person names, and what never is.</summary>
public sealed class FileTests : IDisposable
{
    private static readonly byte[] Content = "all of it"u8.ToArray();

    private readonly TestShell _shell = new();

    [Fact]
    public void A_new_file_is_whole_and_its_makers_alone()
    {
        var path = _shell.PathOf("new");

        Assert.Null(Files.Create(path, Content));

        Assert.Equal(Content, File.ReadAllBytes(path));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
    }

    [Theory]
    [InlineData("file")]
    [InlineData("directory")]
    [InlineData("link")]
    [InlineData("link-to-nothing")]
    [InlineData("pipe")]
    [InlineData("device")]
    public async Task What_is_there_already_stays_as_it_is(string what)
    {
        var path = await MakeAsync(what);
        var before = await LookAsync();

        Assert.Equal(CliCode.FileExists, Files.Create(path, Content)?.Code);
        Assert.Equal(CliCode.FileExists, await _shell.RefusedAsync("agreement", "export", "hello", "-f", path));
        Assert.Equal(CliCode.FileExists, await _shell.RefusedAsync("node", "invite", "farm", "-f", path));

        Assert.Equal(before, await LookAsync());
    }

    [Fact]
    public async Task A_directory_that_is_not_there_is_not_made()
    {
        var path = _shell.PathOf("nowhere/hello.bundle");

        Assert.Equal(CliCode.FileUnreadable, await _shell.RefusedAsync("agreement", "export", "hello", "-f", path));
        Assert.Equal(CliCode.FileUnreadable, Files.Create(path, Content)?.Code);

        Assert.False(Directory.Exists(_shell.PathOf("nowhere")));
    }

    [Fact]
    public async Task Our_own_file_is_replaced_behind_its_link_and_never_what_is_no_file()
    {
        var (link, pipe) = (await MakeAsync("link"), await MakeAsync("pipe"));

        Assert.Null(Files.Replace(link, Content));
        Assert.Equal(CliCode.FileUnreadable, Files.Replace(pipe, Content)?.Code);

        Assert.Equal("target", new FileInfo(link).LinkTarget);
        Assert.Equal(Content, File.ReadAllBytes(_shell.PathOf("target")));
        Assert.Contains("pipe p", await LookAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("source-unreadable", "flist", "build")]
    [InlineData("source-unreadable", "flist", "import")]
    [InlineData(CliCode.FileUnreadable, "verify")]
    [InlineData(CliCode.FileUnreadable, "key", "import", "x", "--no-passphrase", "-f")]
    [InlineData(CliCode.FileUnreadable, "offer", "post", "farm", "-f")]
    public async Task What_is_no_file_is_not_waited_for(string code, params string[] command)
    {
        using var key = Statements.SigningKey.FromSeed(new byte[32]);
        _shell.Environment["GRID_LEDGER_KEY"] = key.Public.ToString();
        foreach (var what in new[] { "pipe", "device" })
            Assert.Equal(code, await _shell.RefusedAsync([.. command, await MakeAsync(what)]));
    }

    [Fact]
    public async Task An_image_whose_index_is_a_pipe_is_not_waited_for()
    {
        Directory.CreateDirectory(_shell.PathOf("image"));
        _shell.Write("image/oci-layout", """{"imageLayoutVersion":"1.0.0"}""");
        await MakeAsync("image/index.json", "pipe");

        Assert.Equal("source-unreadable", await _shell.RefusedAsync("flist", "import", _shell.PathOf("image")));
    }

    [Fact]
    public async Task A_file_is_read_through_a_link()
    {
        _shell.Write("target", new string('7', 64));
        File.CreateSymbolicLink(_shell.PathOf("other"), "target");

        await _shell.JsonAsync("key", "import", "x", "-f", _shell.PathOf("other"), "--no-passphrase");
    }

    public void Dispose() => _shell.Dispose();

    private Task<string> MakeAsync(string what) => MakeAsync(what, what);

    private async Task<string> MakeAsync(string name, string what)
    {
        var path = _shell.PathOf(name);
        switch (what)
        {
            case "file":
                _shell.Write(name, "before");
                break;
            case "directory":
                Directory.CreateDirectory(path);
                break;
            case "link":
                _shell.Write("target", "before");
                File.CreateSymbolicLink(path, "target");
                break;
            case "link-to-nothing":
                File.CreateSymbolicLink(path, "nothing");
                break;
            case "pipe":
                await RunAsync("mkfifo", path);
                break;
            case "device":
                if (!Environment.IsPrivilegedProcess)
                    Assert.Skip("only root makes a device");
                // As /dev/full: whoever writes to it is told that there is no space.
                await RunAsync("mknod", path, "c", "1", "7");
                break;
            default:
                throw new UnreachableException();
        }
        return path;
    }

    private Task<string> LookAsync() => RunAsync("find", _shell.Home, "-printf", "%f %y %m %s %i %l\n");

    private static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        var said = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, process.ExitCode);
        return said;
    }
}
