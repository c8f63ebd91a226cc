using System.Collections.Immutable;
using System.Net;
using Grid.Networks;
using Grid.Node.Agent;
using Grid.Node.Gateways;
using Grid.Node.Volumes;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node;

/// <summary>What the agent is told at its start; everything else it is told by agreements.</summary>
/// <param name="Underlay">null: whatever addresses the machine reaches the world from</param>
/// <param name="Disks">where volumes are kept; none: beside the rest of the data</param>
/// <param name="Invite">the file with the invite, for a node that has not joined yet</param>
public sealed record NodeOptions(
    Uri Ledger, string Origin, PublicKey LedgerKey, ImmutableArray<Uri> Hubs, NodePaths Paths, string? Invite, Capacity? Capacity, ImmutableArray<IPAddress>? Underlay, ImmutableArray<DataDisk> Disks)
{
    /// <summary>Null when the node has no way in from the world to offer.</summary>
    public GatewayOptions? Gateways { get; init; }

    /// <summary>The interface on the farm's public wire; null when no container can have a public address.</summary>
    public string? Public { get; init; }

    /// <summary>How many public IPv4 addresses agreements may bind here.</summary>
    public int PublicIPv4 { get; init; }

    private const int MostPublicIPv4 = 65_536;

    public const string Usage = $"""
        grid-node --ledger URL --origin NAME --ledger-key key1… --hub URL [--hub URL …]
                  [--data DIR] [--run DIR] [--cgroup NAME] [--invite FILE]
                  [--cpu MILLICORES --memory BYTES --ssd BYTES] [--disk ssd:DIR|hdd:DIR …]
                  [--underlay ADDRESS …] [--public IFACE [--public-ipv4 COUNT]]
                  {GatewayOptions.Usage}

          --ledger URL          the ledger's API (needed)
          --origin NAME         the ledger's name, as in its checkpoints (needed)
          --ledger-key KEY      the key that signs its checkpoints; nothing else is trusted (needed)
          --hub URL             where flists come from; several are tried in order, and every byte
                                is checked (needed)
          --data DIR            what survives a reboot (default: /var/lib/grid/node)
          --run DIR             what does not (default: /run/grid/node)
          --cgroup NAME         the group that holds every container's (default: grid)
          --invite FILE         the farmer's invite (needed until the node has joined)
          --cpu MILLICORES      offer this much, 1000 for a core (default: all the machine has)
          --memory BYTES        the same of memory; with --cpu and --ssd, or not at all
                                (default: all the machine has)
          --ssd BYTES           the same of space for volumes (default: all the machine has)
          --disk ssd:DIR        where volumes are kept, and on what: ssd:DIR or hdd:DIR; several are
                                several disks (default: ssd, and volumes in --data)
          --underlay ADDRESS    where other nodes reach this one; several are allowed
                                (default: the addresses that the machine reaches the world from)
          --public IFACE        the interface on the farm's public wire
                                (default: none, and no container has a public address)
          --public-ipv4 COUNT   how many IPv4 addresses agreements may bind here (default: 256)

        {GatewayOptions.Explained}
        """;

    public static readonly ImmutableArray<string> Names =
        ["--ledger", "--origin", "--ledger-key", "--hub", "--data", "--run", "--cgroup", "--invite", "--cpu", "--memory", "--ssd", "--underlay", "--disk", "--public", "--public-ipv4", .. GatewayOptions.Names];

    /// <summary>Null and all that is wrong with the arguments, or the options.</summary>
    public static NodeOptions? Parse(IReadOnlyList<string> arguments, out ImmutableArray<Refusal> wrong)
    {
        var errors = ImmutableArray.CreateBuilder<Refusal>();
        void Wrong(string detail, string next) => errors.Add(new Refusal(NodeCode.Usage, detail, next));
        var given = new List<(string Name, string Value)>();
        for (var i = 0; i < arguments.Count; i += 2)
        {
            if (!Names.Contains(arguments[i]))
                Wrong($"'{arguments[i]}' is not an option.", "'grid-node --help' lists them.");
            else if (i + 1 == arguments.Count || (arguments[i + 1].Length == 0 && arguments[i] is "--data" or "--run" or "--invite"))
                Wrong($"{arguments[i]} wants a value.", "Write it behind the option, or leave the option out.");
            else if (arguments[i] is not ("--hub" or "--underlay" or "--disk") && given.Any(g => g.Name == arguments[i]))
                Wrong($"{arguments[i]} is given twice.", "Give it once.");
            else
                given.Add((arguments[i], arguments[i + 1]));
        }

        string? One(string name) => given.Where(g => g.Name == name).Select(g => g.Value).FirstOrDefault();
        string Must(string name)
        {
            if (One(name) is { Length: > 0 } value)
                return value;
            Wrong($"{name} is missing.", "Give what the ledger's operator and the farmer told you; 'grid-node --help' says what it is.");
            return "";
        }
        Uri? Address(string name, string value)
        {
            if (Uri.TryCreate(value, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https")
                return uri;
            if (value.Length > 0)
                Wrong($"{name} '{value}' is not an http or https address.", "Write it as http://HOST:PORT or https://HOST.");
            return null;
        }
        long? Number(string name)
        {
            if (One(name) is not { } text)
                return null;
            if (long.TryParse(text, System.Globalization.NumberStyles.None, null, out var number) && number > 0)
                return number;
            Wrong($"{name} '{text}' is not a whole number above zero.", "Write digits only.");
            return null;
        }

        var ledger = Address("--ledger", Must("--ledger"));
        var origin = Must("--origin");
        if (origin.Length > 0 && !Payload.IsOrigin(origin))
            Wrong($"--origin '{origin}' is not the name of a ledger: 1–255 printable ASCII characters without spaces and pluses.", "Write it as it stands in the ledger's checkpoints.");
        if (!Id.TryParse<PublicKey>(Must("--ledger-key"), out var key) && One("--ledger-key") is { Length: > 0 })
            Wrong("--ledger-key is not a key of the form key1….", "Copy it again from the ledger's operator.");
        var hubs = given.Where(g => g.Name == "--hub").Select(g => Address("--hub", g.Value)).OfType<Uri>().ToImmutableArray();
        if (hubs.IsEmpty)
            Wrong("--hub is missing.", "Give the address of at least one, where flists come from.");
        var (cpu, memory, ssd) = (Number("--cpu"), Number("--memory"), Number("--ssd"));
        var some = new[] { cpu, memory, ssd }.Count(n => n is not null);
        if (some is 1 or 2)
            Wrong("--cpu, --memory and --ssd are given together or not at all.", "Give all three, or none: then all the machine has is offered.");
        var paths = new NodePaths(
            Path.GetFullPath(One("--data") ?? "/var/lib/grid/node"), Path.GetFullPath(One("--run") ?? "/run/grid/node"), One("--cgroup") ?? "grid");
        if (!Units.Names.IsValid(paths.Cgroup, 1, 36))
            Wrong($"--cgroup '{paths.Cgroup}' is not a name of 1–36 of a–z, 0–9 and hyphens.", "Write a plain name, such as grid.");

        var underlay = new List<IPAddress>();
        foreach (var (_, text) in given.Where(g => g.Name == "--underlay"))
        {
            if (IPAddress.TryParse(text, out var address) && address.ToString() == text)
                underlay.Add(address);
            else
                Wrong($"--underlay '{text}' is not an IPv4 or IPv6 address.", "Write it as 192.0.2.7 or 2001:db8::7, without a port.");
        }
        if (underlay.Count > TunnelEnds.MaximumUnderlay)
            Wrong($"--underlay is given {underlay.Count} times; an agreement has room for {TunnelEnds.MaximumUnderlay}.", "Give those by which other nodes reach this one best.");

        var disks = ImmutableArray.CreateBuilder<DataDisk>();
        foreach (var (_, text) in given.Where(g => g.Name == "--disk"))
        {
            if (text.Split(':', 2) is ["ssd" or "hdd", { Length: > 0 } path] parts)
                disks.Add(new DataDisk(Path.GetFullPath(path), parts[0] == "ssd" ? Media.Ssd : Media.Hdd));
            else
                Wrong($"--disk '{text}' is not ssd:DIRECTORY or hdd:DIRECTORY.", "Say first what kind of disk it is, as ssd:/data.");
        }

        var gateways = GatewayOptions.Parse(One, errors);

        var outside = One("--public");
        // As the kernel has it (dev_valid_name): it is the name of a directory in /proc/sys.
        if (outside is { Length: 0 or > 15 } or "." or ".." || outside?.Any(c => c is '/' or ':' || char.IsWhiteSpace(c)) == true)
            Wrong($"--public '{outside}' is not the name of an interface: addresses are bound on the farm's public wire.", "Name one that 'ip link' lists.");
        var count = Number("--public-ipv4");
        if (count is not null && outside is null)
            Wrong("--public-ipv4 is given without --public: there is no wire to bind addresses on.", "Give both, or neither.");
        if (count > MostPublicIPv4)
            Wrong($"--public-ipv4 {count} is more than {MostPublicIPv4}: no farm has as many on one wire.", "Give how many agreements may bind here.");

        wrong = errors.ToImmutable();
        return wrong.IsEmpty
            ? new NodeOptions(ledger!, origin, key, hubs, paths, One("--invite"),
                some == 3 ? new Capacity(new MilliCores(cpu!.Value), new Bytes(memory!.Value), new Bytes(ssd!.Value), Bytes.Zero, 0) : null,
                underlay.Count > 0 ? TunnelEnds.Sorted(underlay) : null, disks.ToImmutable())
            { Gateways = gateways, Public = outside, PublicIPv4 = (int)(count ?? 256) }
            : null;
    }
}
