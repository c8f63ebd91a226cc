using System.Net;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests.Stage;

/// <summary>Small real root file systems, and containers over them.</summary>
public static class Trees
{
    private const string Busybox = "/bin/busybox";
    private const UnixFileMode Executable = (UnixFileMode)0b111_101_101;

    /// <summary>Where what serves only its own container listens.</summary>
    public static readonly IPEndPoint Loopback = new(IPAddress.Loopback, 8080);

    /// <summary>One static program, and the directories that every container mounts over.</summary>
    public static string Make(Stage stage, string name, Action<string>? more = null)
    {
        if (!File.Exists(Busybox))
            Assert.Skip("The stories need busybox-static; run tools/setup.");
        var root = stage.At($"tree-{name}");
        foreach (var directory in new[] { "bin", "proc", "sys", "dev", "tmp", "srv", "etc", "lib" })
            Directory.CreateDirectory(Path.Combine(root, directory));
        File.Copy(Busybox, Path.Combine(root, "bin/busybox"));
        File.WriteAllText(Path.Combine(root, "srv/index.html"), $"page of {name}\n");
        more?.Invoke(root);
        return root;
    }

    public static void Script(string root, string path, string text)
    {
        File.WriteAllText(Path.Combine(root, path), text);
        File.SetUnixFileMode(Path.Combine(root, path), Executable);
    }

    /// <summary>Serves /srv on its own loopback until it is ended.</summary>
    public static Container Web(string name, NodeId node, FlistId flist) => Run(name, node, flist, "httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/srv");

    public static Container Run(string name, NodeId node, FlistId flist, params string[] args) => new(
        name, node, flist, Busybox, [.. args], [], "/", new ContainerUser(1000, 1000), new MilliCores(100), Bytes.MiB(32), 16, [],
        [new Scratch("/tmp", Bytes.MiB(1))], new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(8)), Bytes.KiB(256), [], []);
}
