namespace Grid.Cli.Up;

/// <summary>
/// Real root file systems for the examples, straight from Debian's packages: nothing of them is configured by a script, and what is not a package's
/// is written here, where it can be read.
/// </summary>
internal static class DebianRoot
{
    private const UnixFileMode Executable = (UnixFileMode)0b111_101_101;

    // Nothing that runs in a container reads these. The links in /usr/share/doc lead nowhere without what is not there.
    private static readonly string[] Unread = ["dev", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/info"];

    // The root is read-only when it runs: what is mounted over must be there.
    private static readonly string[] Places = ["dev", "etc", "proc", "sys", "tmp"];

    /// <summary>Makes one, unless it is there whole from before.</summary>
    /// <param name="packages">by name; what they depend on comes with them</param>
    /// <param name="finish">adds and removes the rest</param>
    /// <exception cref="UpFault">mmdebstrap failed; says what it said</exception>
    public static async Task MakeAsync(Launcher launcher, string directory, string packages, Action<string> finish, CancellationToken cancel)
    {
        var done = directory + ".whole";
        if (File.Exists(done))
            return;
        if (Directory.Exists(directory))
            Directory.Delete(directory, recursive: true);
        Directory.CreateDirectory(Path.GetDirectoryName(directory)!);
        await DebootstrapAsync(launcher, directory, packages, cancel);
        // Device nodes are the node's to give, a few harmless ones; an flist holds none.
        foreach (var name in Unread)
            Remove(directory, name);
        foreach (var name in Places)
            Directory.CreateDirectory(Path.Combine(directory, name));
        finish(directory);
        await File.WriteAllTextAsync(done, "", cancel);
    }

    /// <summary>Lays down a file of our own.</summary>
    public static void Write(string root, string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(root, path))!);
        File.WriteAllText(Path.Combine(root, path), text);
    }

    public static void WriteProgram(string root, string path, string text)
    {
        Write(root, path, text);
        File.SetUnixFileMode(Path.Combine(root, path), Executable);
    }

    /// <summary>The user that the workload runs as, by name, for programs that ask.</summary>
    public static void WriteUser(string root, string name)
    {
        Write(root, "etc/passwd", $"root:x:0:0:root:/:/sbin/nologin\n{name}:x:1000:1000:{name}:/:/sbin/nologin\n");
        Write(root, "etc/group", $"root:x:0:\n{name}:x:1000:\n");
    }

    public static void Remove(string root, string path)
    {
        if (Directory.Exists(Path.Combine(root, path)))
            Directory.Delete(Path.Combine(root, path), recursive: true);
    }

    private static async Task DebootstrapAsync(Launcher launcher, string directory, string packages, CancellationToken cancel)
    {
        // "extract" unpacks and runs no maintainer script: what is in the tree is what is in the packages.
        using var process = launcher.Start("/usr/bin/mmdebstrap", ["--variant=extract", $"--include={packages}", "--quiet", "bookworm", directory]);
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(cancel), process.StandardError.ReadToEndAsync(cancel));
        try
        {
            await process.WaitForExitAsync(cancel);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
        if (process.ExitCode != 0)
            throw new UpFault($"mmdebstrap ended with {process.ExitCode}: {(await errors + await output).Trim()}", "Check that 'apt-get update' works here, and run the same command again.");
    }
}
