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
using Grid.Node.Secrets;
using Grid.Node.Volumes;
using Grid.Telemetry;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Extensions.Logging;

namespace Grid.Node;

/// <summary>Puts the agent together and runs it until it is asked to end. Ending it ends no workload.</summary>
internal static partial class NodeProgram
{
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

        Make("--data", options.Paths.Data, DirectoryModes.Private);
        // Tenants' files, also where the farmer made the directory above and left it open.
        Make("--data", options.Paths.Cache, DirectoryModes.Private);
        Make("--run", options.Paths.Run, DirectoryModes.Passed | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
        var inMemory = RunDirectory.Prepare(options.Paths.Run);
        using var single = SingleAgent.Lock(options.Paths.Data);
        using var keys = NodeKey.LoadOrCreate(options.Paths.Key, options.Origin);
        using var ledger = new LedgerClient(
            new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, UseProxy = false }) { BaseAddress = options.Ledger, Timeout = Timeout.InfiniteTimeSpan },
            new LedgerTrust(options.Origin, options.LedgerKey), new FileCheckpointStore(Path.Combine(options.Paths.Data, "seen.checkpoint")), time);
        var containers = ContainerHost.Open(options.Paths.Containers, time, out var why) ?? throw NodeException.CannotRun(why);
        var log = logging.CreateLogger("Grid.Node");
        if (!inMemory)
            Without(log, "secrets", $"{options.Paths.Run} is on a disk and not empty");
        var secrets = new NodeSecrets(keys.Secrets, new SecretPlaces(options.Paths.Secrets), inMemory);
        var underlay = options.Underlay ?? TunnelEnds.Sorted(Underlay.Find());
        using var tunnelHost = TunnelHost.Open(options.Paths.Run, keys.Tunnels, Environment.ProcessId, time, out why);
        tunnelHost?.Sweep();
        var tunnels = tunnelHost is null || underlay.IsEmpty ? null : new Tunnels(tunnelHost, keys.Tunnels, underlay, time);
        if (tunnels is null)
            Without(log, Network.KindName, tunnelHost is null ? why : "no --underlay was given, and the machine has no route to the world");
        using var volumeHost = VolumeHost.Open(options.Paths.Disks(options.Disks), options.Paths.Run, keys.Volumes, time, out var withoutVolumes, options.Paths.KnownDisks);
        if (volumeHost is null)
            Without(log, Volume.KindName, withoutVolumes);
        using var gateways = GatewayHost.Open(options.Gateways, options.Paths.Data, options.Paths.Run, out why);
        if (options.Gateways is not null && (gateways is null || tunnels is null))
            Without(log, Gateway.KindName, gateways is null ? why : "it has no private networks");
        var doors = gateways is null || tunnels is null ? null : options.Gateways;
        var machines = MachineHost.Open(options.Paths.Machines, options.Paths.MachineRoots, time, out why);
        if (machines is null)
            Without(log, Machine.KindName, why);
        ImmutableArray<string> kinds =
        [
            Container.KindName, .. doors is null ? [] : (string[])[Gateway.KindName], .. tunnels is null ? [] : (string[])[Network.KindName],
            .. machines is null ? [] : (string[])[Machine.KindName], .. volumeHost is null ? [] : (string[])[Volume.KindName],
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
            using var collector = Collector.Connect("grid-node", $"{node}", [NodeTrace.Steps], NodeTrace.Name, ClientTrace.Name, "System.Net.Http");
            var voice = new NodeVoice(keys.Signing, node, options.Origin, time);
            var report = enrolment.ReportAsync(voice, stopping.Token);
            if (enrolment.IsNew)
                await report;

            var contact = new LedgerContact(options.Paths.Heard, time);
            var feed = new AgreementFeed(ledger, contact, new AgreementStore(options.Paths.Agreements, logging.CreateLogger<AgreementStore>()), node, time, logging.CreateLogger<AgreementFeed>());
            var volumes = volumeHost is null ? null
                : new VolumeViews(volumeHost, options.Paths.Views, () => VolumePromises.Of(feed.Agreements.SelectMany(a => VolumePromises.Of(a, node)), node));
            var hosts = new NodeHosts(containers, secrets, options.Paths, options.Hubs)
            {
                Tunnels = tunnels,
                Volumes = volumes,
                WithoutVolumes = withoutVolumes,
                Machines = machines,
                Gateways = gateways,
                Addresses = publicHost is null ? null : new BoundAddresses(publicHost, feed),
            };
            var sight = new WorkloadSight(hosts);
            var effects = new WorkloadEffects(hosts);
            var answers = new Answers(ledger, new DescribedFiles(hubs), kinds, secrets, tunnels, volumeHost, Proofs(doors), voice, enrolment.Available, time, logging.CreateLogger<Answers>());
            var receipts = new Receipts(options.Paths.Receipts, options.Paths.ReceiptState, ledger, contact, voice, sight, new Meter(sight.Counters, time), time, logging.CreateLogger<Receipts>());
            var drain = new Drain(options.Paths.Drained, ledger, voice, logging.CreateLogger<Drain>());
            var strangers = new Strangers(sight, time, logging.CreateLogger<Strangers>());
            var status = new StatusFile(options.Paths.Status, voice, sight, answers, receipts, drain, strangers, enrolment.Available, options.Paths.Cache, contact, time);
            var logs = new LogDesk(node, keys.Signing, ledger, options.Paths.Containers.Log, time, logging.CreateLogger<LogDesk>());
            var ended = new EndedLogs(options.Paths.Logs, time);
            NodeGauges.Offer(status, contact, receipts, options.Paths.Cache);
            var look = new Bell();
            await using var health = new HealthChecks(sight, effects, look, time, logging.CreateLogger<HealthChecks>());
            using var agent = new NodeAgent(feed, contact, answers, receipts, drain, sight, strangers, effects, health, status, logs, ended, voice, look, time, logging.CreateLogger<NodeAgent>());
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

    private static void Make(string option, string directory, UnixFileMode mode)
    {
        try
        {
            Directory.CreateDirectory(directory, mode);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new NodeException(NodeCode.DirectoryUnusable, $"{option} {directory} cannot be used as a directory: {e.Message}", $"Name another with {option}.");
        }
    }

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
            throw new NodeException(NodeCode.DirectoryInUse, $"Another agent uses {data}: {e.Message}", "End that one, or give this one another --data, --run and --cgroup.");
        }
    }
}
