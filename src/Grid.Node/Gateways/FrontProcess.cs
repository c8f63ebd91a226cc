using System.Collections.Immutable;
using System.Diagnostics;
using Grid.Flists.Mount;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Networks;

namespace Grid.Node.Gateways;

/// <summary>
/// The process that serves all gateways of a node: this same program, in its own session, so that no connection ends with the agent. It has fewer
/// capabilities than root: to bind low ports and to enter namespaces.
/// <code>GRID_GATEWAY_FRONT=scope</code>
/// </summary>
internal sealed class FrontProcess(GatewayOptions? options, GatewayFiles files, NetworkNamespace node, string data, string run)
{
    public const string Verb = "gateway", Setpriv = "/usr/bin/setpriv";

    private const string Variable = "GRID_GATEWAY_FRONT=";
    private static readonly TimeSpan Birth = TimeSpan.FromSeconds(20), Death = TimeSpan.FromSeconds(3);

    private readonly ImmutableArray<string> _arguments = options is null ? [] : [Verb, "--data", data, "--run", run, .. options.ToArguments()];

    /// <summary>The one that runs and was told the same as this agent; null when there is none.</summary>
    public ProcessIdentity? Find() => options is null ? null : All().Where(f => f.Args.TakeLast(_arguments.Length).SequenceEqual(_arguments) && Read(files) == f.Process)
        .Select(f => (ProcessIdentity?)f.Process).FirstOrDefault();

    /// <exception cref="IOException">it does not come to listen</exception>
    public ProcessIdentity Start()
    {
        if (options is null)
            throw new IOException("This node has no way in from the world now.");
        if (Find() is { } running)
            return running;
        EndAll();
        var program = MountHost.ThisProgram;
        string[] environment = [Variable + run, .. Environment.GetEnvironmentVariable("DOTNET_ROOT") is { } root ? (string[])[$"DOTNET_ROOT={root}"] : []];
        node.Leave(Setpriv, ["--no-new-privs", "--bounding-set=-all,+net_bind_service,+sys_admin,+sys_ptrace", program.Path, .. program.Arguments, .. _arguments], environment);
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < Birth; Thread.Sleep(5))
        {
            if (Find() is { } started)
                return started;
            if (clock.Elapsed > TimeSpan.FromSeconds(1) && All().Count == 0)
                break;
        }
        EndAll();
        throw new IOException($"The gateway's front does not come up: {LastWords()}");
    }

    /// <returns>false when one does not end</returns>
    public bool EndAll()
    {
        var ended = true;
        foreach (var (process, _) in All())
        {
            using var handle = Posix.OpenProcess(process.Pid);
            if (handle is not null && Processes.Identify(process.Pid) == process)
                ended &= (Posix.Signal(handle, Posix.SIGTERM) && Posix.WaitReadable(handle, Death)) || !Posix.Signal(handle, Posix.SIGKILL) || Posix.WaitReadable(handle, Death);
        }
        File.Delete(files.Front);
        return ended;
    }

    /// <summary>The front that said it listens; it may have ended since.</summary>
    public static ProcessIdentity? Read(GatewayFiles files)
    {
        // Most nodes have none, and every look asks.
        if (!File.Exists(files.Front))
            return null;
        try
        {
            return File.ReadAllText(files.Front).Split(' ') is [var pid, var ticks] && int.TryParse(pid, out var number) && ulong.TryParse(ticks, out var start) ? new ProcessIdentity(number, start) : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    public static string Text(ProcessIdentity process) => $"{process.Pid} {process.StartTicks}";

    private List<(ProcessIdentity Process, ImmutableArray<string> Args)> All()
    {
        var found = new List<(ProcessIdentity, ImmutableArray<string>)>();
        foreach (var (process, args) in Processes.Ours(a => a.Contains(Verb)))
        {
            if (Processes.EnvironmentOf(process.Pid).Contains(Variable + run))
                found.Add((process, args));
        }
        return found;
    }

    private string LastWords() => File.Exists(files.Log) ? File.ReadLines(files.Log).LastOrDefault() ?? "it said nothing" : "it said nothing";
}
