using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Grid.Addresses;
using Grid.Client;
using Grid.Flists.Admission;
using Grid.Flists.Hub;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Node.Agent;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Logs;
using Grid.Node.Machines;
using Grid.Node.Networks;
using Grid.Node.Volumes;
using Grid.Telemetry;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging;

namespace Grid.Node;

/// <summary>Puts the agent together and runs it until it is asked to end. Ending it ends no workload.</summary>
internal static partial class NodeProgram
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <exception cref="NodeException"/>
    public static async Task<int> RunAsync(NodeOptions options)
    {
        var time = TimeProvider.System;
        using var stopping = new CancellationTokenSource();
        using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => Stop(c, stopping));
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, c => Stop(c, stopping));
        using var logging = LoggerFactory.Create(b => b.AddSimpleConsole(o =>
        {
            o.SingleLine = true;
            o.TimestampFormat = "yyyy-MM-ddTHH:mm:ssZ ";
            o.UseUtcTimestamp = true;
        }));

        Directory.CreateDirectory(options.Paths.Data, Private);
        Directory.CreateDirectory(options.Paths.Run);
        using var single = SingleAgent.Lock(options.Paths.Data);
        using var keys = NodeKey.LoadOrCreate(options.Paths.Key);
        using var ledger = new LedgerClient(
            new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, UseProxy = false }) { BaseAddress = options.Ledger, Timeout = Timeout.InfiniteTimeSpan },
            new LedgerTrust(options.Origin, options.LedgerKey), new FileCheckpointStore(Path.Combine(options.Paths.Data, "seen.checkpoint")), time);
        var containers = ContainerHost.Open(options.Paths.Containers, time, out var why) ?? throw new NodeException($"This machine cannot run containers: {why}");
        var log = logging.CreateLogger("Grid.Node");
        var underlay = options.Underlay ?? TunnelEnds.Sorted(Underlay.Find());
        using var tunnelHost = TunnelHost.Open(options.Paths.Run, keys.Tunnels, Environment.ProcessId, time, out why);
        var tunnels = tunnelHost is null || underlay.IsEmpty ? null : new Tunnels(tunnelHost, keys.Tunnels, underlay, time);
        if (tunnels is null)
            Without(log, Network.KindName, tunnelHost is null ? why : "no --underlay was given, and the machine has no route to the world");
        using var volumeHost = VolumeHost.Open(options.Paths.Disks(options.Disks), options.Paths.Run, keys.Volumes, time, out why);
        if (volumeHost is null)
            Without(log, Volume.KindName, why);
        var volumes = volumeHost is null ? null : new VolumeViews(volumeHost, options.Paths.Views);
        using var gateways = GatewayHost.Open(options.Gateways, options.Paths.Data, options.Paths.Run, out why);
        if (options.Gateways is not null && (gateways is null || tunnels is null))
            Without(log, Gateway.KindName, gateways is null ? why : "it has no private networks");
        var doors = gateways is null || tunnels is null ? null : options.Gateways;
        var machines = MachineHost.Open(options.Paths.Machines, options.Paths.MachineRoots, out why);
        if (machines is null)
            Without(log, Machine.KindName, why);
        ImmutableArray<string> kinds =
        [
            Container.KindName, .. doors is null ? [] : (string[])[Gateway.KindName], .. tunnels is null ? [] : (string[])[Network.KindName],
            .. machines is null ? [] : (string[])[Machine.KindName], .. volumes is null ? [] : (string[])[Volume.KindName],
        ];
        var publicHost = PublicAddresses.Open(options.Paths.Run, "/proc/self/ns/net", options.Public, out why);
        if (options.Public is not null && publicHost is null)
            Without(log, PublicAddress.KindName, why);
        else if (options.Public is not null)
            kinds = [PublicAddress.KindName, .. kinds];
        else if (publicHost is { IsEmpty: true })
            // Nothing will be bound here, and nothing is left to release.
            publicHost = null;
        using var hubs = new HubClient(options.Hubs.Select(h => h.AbsoluteUri));

        try
        {
            var enrolment = new Enrolment(options, kinds, machines?.Accelerator.Name, volumeHost?.Capacity() ?? Capacity.None, doors?.Domain, keys.Signing, ledger, time, logging.CreateLogger<Enrolment>());
            var node = await enrolment.JoinAsync(stopping.Token);
            using var collector = Collector.Connect("grid-node", $"{node}", NodeTrace.Name, ClientTrace.Name, "System.Net.Http");
            var voice = new NodeVoice(keys.Signing, node, options.Origin, time);
            var report = enrolment.ReportAsync(voice, stopping.Token);
            if (enrolment.IsNew)
                await report;

            var contact = new LedgerContact(options.Paths.Heard, time);
            var feed = new AgreementFeed(ledger, contact, new AgreementStore(options.Paths.Agreements, logging.CreateLogger<AgreementStore>()), node, time, logging.CreateLogger<AgreementFeed>());
            var effects = new WorkloadEffects(containers, tunnels, volumes, machines, gateways, publicHost is null ? null : new BoundAddresses(publicHost, feed), options.Paths, options.Hubs);
            var answers = new Answers(ledger, new DescribedFiles(hubs), kinds, tunnels, Proofs(doors), voice, enrolment.Available, logging.CreateLogger<Answers>());
            var receipts = new Receipts(options.Paths.Receipts, ledger, contact, voice, effects, time, logging.CreateLogger<Receipts>());
            var drain = new Drain(options.Paths.Drained, ledger, voice, logging.CreateLogger<Drain>());
            var status = new StatusFile(options.Paths.Status, voice, effects, answers, receipts, drain, enrolment.Available, options.Paths.Cache, contact, time);
            var logs = new LogDesk(node, keys.Signing, ledger, options.Paths.Containers.Log, time, logging.CreateLogger<LogDesk>());
            NodeGauges.Offer(status, contact, receipts, options.Paths.Cache);
            using var agent = new NodeAgent(feed, contact, answers, receipts, drain, effects, status, logs, voice, time, logging.CreateLogger<NodeAgent>());
            Console.WriteLine($"grid-node ready {node}");
            await Task.WhenAll(agent.RunAsync(stopping.Token), report);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Asked to end.
        }
        return 0;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "This node offers no {Kind}: {Why}")]
    private static partial void Without(ILogger log, string kind, string why);

    private static DomainProofs Proofs(GatewayOptions? doors) => new(doors?.Domain, (doors?.Dns ?? TxtLookup.OfMachine()) is { } server ? new TxtLookup(server) : null);

    private static void Stop(PosixSignalContext context, CancellationTokenSource stopping)
    {
        context.Cancel = true;
        stopping.Cancel();
    }
}

/// <summary>Two agents over one data directory would undo each other's work; the second is refused.</summary>
internal static class SingleAgent
{
    /// <exception cref="NodeException">another agent has it</exception>
    public static FileStream Lock(string data)
    {
        try
        {
            return new FileStream(Path.Combine(data, "agent.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new NodeException($"Another agent uses {data}: {e.Message}");
        }
    }
}
