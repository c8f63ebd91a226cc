namespace Grid.Cli.Up;

/// <summary>
/// A real root file system for the example: nginx with everything it needs, straight from Debian's packages, nothing of it configured by a script.
/// </summary>
internal static class ExampleRoot
{
    public const int Port = 8080;
    public const string Entry = "/usr/sbin/nginx";
    public const string Page = "Hello from inside: every byte of this was agreed.\n";

    /// <summary>Makes it, unless it is there whole from before.</summary>
    /// <exception cref="UpFault">mmdebstrap failed; says what it said</exception>
    public static async Task MakeAsync(Launcher launcher, string directory, CancellationToken cancel)
    {
        var done = directory + ".whole";
        if (File.Exists(done))
            return;
        if (Directory.Exists(directory))
            Directory.Delete(directory, recursive: true);
        await DebootstrapAsync(launcher, directory, cancel);
        // Device nodes are the node's to give, a few harmless ones; an flist holds none.
        Directory.Delete(Path.Combine(directory, "dev"), recursive: true);
        // The root is read-only when it runs: what is mounted over must be there, what is written must lie in scratch.
        foreach (var place in new[] { "proc", "sys", "dev", "tmp", "srv/www", "etc/grid-example" })
            Directory.CreateDirectory(Path.Combine(directory, place));
        await File.WriteAllTextAsync(Path.Combine(directory, "srv/www/index.html"), Page, cancel);
        await File.WriteAllTextAsync(Path.Combine(directory, "etc/grid-example/nginx.conf"), Configuration, cancel);
        await File.WriteAllTextAsync(Path.Combine(directory, "etc/passwd"), "root:x:0:0:root:/:/sbin/nologin\nweb:x:1000:1000:web:/:/sbin/nologin\n", cancel);
        await File.WriteAllTextAsync(Path.Combine(directory, "etc/group"), "root:x:0:\nweb:x:1000:\n", cancel);
        await File.WriteAllTextAsync(done, "", cancel);
    }

    private const string Configuration = """
        daemon off;
        worker_processes 1;
        pid /tmp/nginx.pid;
        error_log stderr;
        events { worker_connections 64; }
        http {
          access_log off;
          client_body_temp_path /tmp/body;
          proxy_temp_path /tmp/proxy;
          fastcgi_temp_path /tmp/fastcgi;
          uwsgi_temp_path /tmp/uwsgi;
          scgi_temp_path /tmp/scgi;
          server {
            listen 127.0.0.1:8080;
            root /srv/www;
          }
        }

        """;

    private static async Task DebootstrapAsync(Launcher launcher, string directory, CancellationToken cancel)
    {
        // "extract" unpacks and runs no maintainer script: what is in the tree is what is in the packages.
        using var process = launcher.Start("/usr/bin/mmdebstrap", ["--variant=extract", "--include=nginx-light", "--quiet", "bookworm", directory]);
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
            throw new UpFault($"mmdebstrap ended with {process.ExitCode}: {(await errors + await output).Trim()}");
    }
}
