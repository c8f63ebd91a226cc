using System.Collections.Immutable;
using System.Net;
using System.Formats.Cbor;
using System.Text;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Gateways;
using Grid.Machines;
using Grid.Networks;
using Grid.Offers;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Workloads;

/// <summary>Something that is refused: by a static rule, or for what is recorded already.</summary>
/// <param name="Name">the file's</param>
/// <param name="Rules">terms, amendment, domain, ready, reader, closure or standing: who refuses it</param>
/// <param name="Describes">what it is, for people</param>
/// <param name="Payload">what is read; nothing for a closure, nor for what stands against what is recorded</param>
/// <param name="Before">what an amendment follows, or an answer is to</param>
/// <param name="Earlier">what the same node answered to another agreement, which is in force</param>
/// <param name="Domain">of the node of a gateway</param>
/// <param name="Flist">the tree of a closure and the container that starts it, or the machine that boots from it</param>
/// <param name="Statement">signed by all, said to a ledger that has recorded <see cref="RecordedCases"/></param>
public sealed record RefusalCase(
    string Name, string Rules, string Code, string Describes, byte[]? Payload = null, byte[]? Before = null, SmallFlist? Flist = null, string? Domain = null, byte[]? Earlier = null, byte[]? Statement = null)
{
    /// <summary>Who of draft, ledger and node cannot refuse it, and why.</summary>
    public ImmutableArray<(string Whom, string Why)> Unasked { get; init; } = [];
}

/// <summary>At least one case for every code of the static rules and of what agreements are held against, always the same.</summary>
public sealed partial class RefusalCases
{
    private const string Loader = ElfBuilder.GlibcLoader;

    private static readonly NodeId Node = new(Of("node"));
    private static readonly NodeId Other = new(Of("other node"));
    private static readonly FarmId Second = new(Of("second farm"));
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly List<RefusalCase> _cases = [];

    private RefusalCases()
    {
    }

    /// <summary>Terms of one container on one node that break no rule.</summary>
    public static AgreementTerms Good { get; } = new(
        1, null, new AccountId(Of("user")), [new FarmPart(new FarmId(Of("farm")), new OfferId(Of("offer")), [Node])],
        new Term(null, null, TimeSpan.FromHours(1), Epoch.AddMinutes(5), Epoch.AddMinutes(10), new Offline(TimeSpan.FromHours(1), Pause: false)),
        new MoneyTerms(new Currency("EUR", 9), new Money(1000), [new FarmRate(new FarmId(Of("farm")), new Money(1000))], TimeSpan.FromDays(1)),
        [Web("web", Node)], "");

    public static ImmutableArray<RefusalCase> All()
    {
        var cases = new RefusalCases();
        cases.Parties();
        cases.Containers();
        cases.Amendments();
        cases.Answers();
        cases.Networks();
        cases.Gateways();
        cases.Addresses();
        cases.Machines();
        cases.Boots();
        cases.Secrets();
        cases.Unread();
        cases.Closures();
        cases.Standing();
        return [.. cases._cases];
    }

    public static byte[] Encode(AgreementTerms terms) => Encode("user", terms);

    private static byte[] Encode(string by, Body body) => new Payload("grid.test/main", Of(by), Epoch, Epoch.AddDays(1), body).Encode();

    private void Parties()
    {
        Terms("node-of-no-farm", RefusalCode.UnresolvedNode, "a workload on a node that no farm of the agreement brings",
            t => t with { Workloads = [.. t.Workloads, Web("web-1", Other)] });
        Terms("node-without-workload", RefusalCode.UnresolvedNode, "a node on which nothing runs",
            t => t with { Farms = [t.Farms[0] with { Nodes = [.. new[] { Node, Other }.OrderBy(n => n.Value)] }] });
        Terms("node-brought-twice", RefusalCode.UnresolvedNode, "two farms that bring one node", t => t with
        {
            Farms = [.. new[] { t.Farms[0], t.Farms[0] with { Farm = Second } }.OrderBy(f => f.Farm.Value)],
            Money = t.Money with
            {
                RatePerSecond = new Money(2000),
                Parts = [.. new[] { t.Money.Parts[0], t.Money.Parts[0] with { Farm = Second } }.OrderBy(p => p.Farm.Value)],
            },
        });
        Terms("rate-without-farm", RefusalCode.PriceMismatch, "money for no farm", t => t with { Money = t.Money with { Parts = [] } });
        Terms("rate-is-not-the-sum", RefusalCode.PriceMismatch, "a rate that is not the sum of its parts",
            t => t with { Money = t.Money with { RatePerSecond = t.Money.RatePerSecond + new Money(1) } });
        Terms("converge-before-answer", RefusalCode.TermInvalid, "to run before all have answered", t => t with { Term = t.Term with { ConvergeBy = t.Term.AnswerBy } });
        Terms("end-before-start", RefusalCode.TermInvalid, "an end that is not later than the start", t => t with
        {
            Term = t.Term with { Start = t.Term.AnswerBy, End = t.Term.AnswerBy },
        });
        Terms("offline-at-once", RefusalCode.TermInvalid, "to be paused sooner than a node can know", t => t with { Term = t.Term with { Offline = new Offline(TimeSpan.FromSeconds(9), Pause: true) } });
    }

    private void Containers()
    {
        Container("workload-name", RefusalCode.NameInvalid, "a name with a capital", c => c with { Name = "Web" });
        Container("variable-name", RefusalCode.NameInvalid, "an environment variable whose name holds '='", c => c with { Environment = [new("A=B", "1")] });
        Container("no-cpu", RefusalCode.SizeInvalid, "a container without cpu", c => c with { Cpu = new MilliCores(0) });
        Container("no-memory", RefusalCode.SizeInvalid, "a container without memory", c => c with { Memory = Bytes.Zero, Scratch = [] });
        Container("no-pids", RefusalCode.SizeInvalid, "a container without a process", c => c with { Pids = 0 });
        Container("no-scratch", RefusalCode.SizeInvalid, "a scratch that holds nothing", c => c with { Scratch = [new Scratch("/tmp", Bytes.Zero)] });
        Container("scratch-over-memory", RefusalCode.SizeInvalid, "a scratch larger than the memory it is part of", c => c with { Scratch = [new Scratch("/tmp", Bytes.GiB(2))] });
        Container("no-logs", RefusalCode.SizeInvalid, "a container of whose logs nothing is kept", c => c with { Logs = Bytes.Zero });
        Container("logs-over-bound", RefusalCode.SizeInvalid, "a container with more than the most of logs", c => c with { Logs = Runnable.MostLogs + new Bytes(1) });
        Container("restart-backwards", RefusalCode.TermInvalid, "a largest wait below the first", c => c with { Restart = c.Restart with { Max = TimeSpan.Zero } });
        Container("path-with-dots", RefusalCode.PathInvalid, "an entry with '..' in it", c => c with { Entry = "/bin/../bin/web" });
        Container("path-relative", RefusalCode.PathInvalid, "a working directory that is not absolute", c => c with { WorkDir = "srv" });
        Container("mount-in-mount", RefusalCode.PathInvalid, "a scratch within a scratch",
            c => c with { Scratch = [new Scratch("/tmp", Bytes.MiB(1)), new Scratch("/tmp/a", Bytes.MiB(1))] });
        Container("scratch-over-proc", RefusalCode.HostAccess, "a writable place over the kernel's", c => c with { Scratch = [new Scratch("/proc/sys", Bytes.MiB(1))] });
        Container("scratch-over-root", RefusalCode.HostAccess, "a writable place over everything", c => c with { Scratch = [new Scratch("/", Bytes.MiB(1))] });
        Container("entry-in-scratch", RefusalCode.ExecFromWritable, "an entry below a scratch", c => c with { Scratch = [new Scratch("/bin", Bytes.MiB(1))] });
        Terms("volume-too-small", RefusalCode.SizeInvalid, "a volume below the smallest", t => t with
        {
            Workloads = [new Volume("data", Node, Volume.Smallest - new Bytes(1), Media.Ssd, TimeSpan.Zero), .. t.Workloads],
        });
        Container("volume-of-nobody", RefusalCode.UnresolvedVolume, "a mount of a volume that the agreement does not have", c => c with { Mounts = [new VolumeMount("/data", "data")] });
        Container("variable-placeholder", RefusalCode.EnvPlaceholder, "a variable to be filled in", c => c with { Environment = [new("URL", "http://${HOST}/")] });
        Container("argument-placeholder", RefusalCode.EnvPlaceholder, "an argument to be filled in", c => c with { Args = ["--token", "<TOKEN>"] });
        Container("preload", RefusalCode.LibraryNotDescribed, "LD_PRELOAD", c => c with { Environment = [new("LD_PRELOAD", "/data/a.so")] });
        Container("argument-with-zero", RefusalCode.Malformed, "an argument that no process can be given", c => c with { Args = ["a\0b"] });

        var health = new Health("/healthz", 8080, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(2), 3);
        void Asked(string name, string code, string describes, Func<Health, Health> change) => Container($"health-{name}", code, describes, c => c with { Health = change(health) });
        Asked("always", RefusalCode.TermInvalid, "a health that is asked without a pause", h => h with { Every = TimeSpan.Zero, Within = TimeSpan.Zero });
        Asked("hardly", RefusalCode.TermInvalid, "a health that is asked every two hours", h => h with { Every = TimeSpan.FromHours(2) });
        Asked("at-once", RefusalCode.TermInvalid, "a health that must answer in no time", h => h with { Within = TimeSpan.Zero });
        Asked("patient", RefusalCode.TermInvalid, "a health that may take longer than a minute to answer", h => h with { Every = TimeSpan.FromMinutes(5), Within = TimeSpan.FromSeconds(61) });
        Asked("overlap", RefusalCode.TermInvalid, "a health that is asked again before it must have answered", h => h with { Within = TimeSpan.FromSeconds(11) });
        Asked("path-relative", RefusalCode.PathInvalid, "a health whose path does not begin with '/'", h => h with { Path = "healthz" });
        Asked("path-empty", RefusalCode.PathInvalid, "a health whose path is empty", h => h with { Path = "" });
        Asked("path-space", RefusalCode.PathInvalid, "a health whose path holds a space", h => h with { Path = "/health z" });
        Asked("path-newline", RefusalCode.PathInvalid, "a health whose path would begin another line of the request", h => h with { Path = "/\r\nHost: other" });
        Asked("path-umlaut", RefusalCode.PathInvalid, "a health whose path is not percent-encoded", h => h with { Path = "/größe" });
        Asked("path-long", RefusalCode.PathInvalid, "a health whose path is longer than 1024 bytes", h => h with { Path = "/" + new string('a', 1024) });
    }

    private void Amendments()
    {
        var volume = new Volume("data", Node, Bytes.GiB(10), Media.Ssd, TimeSpan.FromDays(1));
        var amends = new Amends(new AgreementId(Of("agreement")), new StatementId(Of("digest")));
        var before = Good with { Workloads = [volume, .. Good.Workloads] };
        void Add(string name, string code, string describes, Func<AgreementTerms, AgreementTerms> change) => _cases.Add(new RefusalCase(
            $"amendment-{name}", "amendment", code, describes, Encode(change(before with { Version = 2, Amends = amends })), Encode(before)));

        Add("other-user", RefusalCode.NotAParty, "another user than before", t => t with { User = new AccountId(Of("mallory")) });
        Add("version-left-out", RefusalCode.Conflict, "version 3 after version 1", t => t with { Version = 3 });
        Add("volume-shrinks", RefusalCode.VolumeShrink, "a volume that becomes smaller", t => t with { Workloads = t.Workloads.SetItem(0, volume with { Size = Bytes.GiB(9) }) });
        Add("kind-changes", RefusalCode.UnsupportedKind, "a volume that becomes a network",
            t => t with { Workloads = [new Network("data", IPNetwork.Parse("10.1.0.0/24"), Egress.None), Web("web", Node) with { Networks = [new NetworkAddress("data", IPAddress.Parse("10.1.0.2"))] }] });
        Add("volume-moves", RefusalCode.VolumeShrink, "a volume that changes its medium", t => t with { Workloads = t.Workloads.SetItem(0, volume with { Media = Media.Hdd }) });
        Add("volume-changes-form", RefusalCode.VolumeShrink, "a volume of files that becomes a disk", t => t with { Workloads = t.Workloads.SetItem(0, volume with { Form = VolumeForm.Disk }) });
    }

    private void Answers()
    {
        static NetworkAddress At(byte host) => new("back", new IPAddress([10, 1, 0, host]));
        var terms = Good with { Workloads = [new Network("back", IPNetwork.Parse("10.1.0.0/24"), Egress.None), Web("web", Node) with { Networks = [At(2)] }, Web("web-1", Node) with { Networks = [At(3)] }] };
        static TunnelEnd End(string workload, string key, int port) => new(new Membership("back", workload), new TunnelKey(Of(key)), port);
        static byte[] Answer(string agreement, params TunnelEnd[] tunnels) =>
            Encode("node", new WorkloadReady(new AgreementId(Of(agreement)), new StatementId(Of("digest")), new TunnelEnds([IPAddress.Parse("192.0.2.1")], [.. tunnels])));
        void Add(string name, string code, string describes, params TunnelEnd[] tunnels) =>
            _cases.Add(new RefusalCase($"ready-{name}", "ready", code, describes, Answer("agreement", tunnels), Encode(terms)));

        Add("port-twice", RefusalCode.PortConflict, "two tunnels at one port", End("web", "a", 20_000), End("web-1", "b", 20_000));
        Add("port-zero", RefusalCode.PortConflict, "a tunnel at no port", End("web", "a", 0), End("web-1", "b", 20_000));
        _cases.Add(new RefusalCase("ready-port-in-use", "ready", RefusalCode.PortConflict, "a tunnel at a port that the node published for another agreement",
            Answer("agreement", End("web", "a", 20_000), End("web-1", "b", 20_001)), Encode(terms), Earlier: Answer("another agreement", End("web", "c", 20_001), End("web-1", "d", 20_002))));
        Add("key-twice", RefusalCode.TunnelMismatch, "two tunnels of one key", End("web", "a", 20_000), End("web-1", "a", 20_001));
        Add("tunnel-left-out", RefusalCode.TunnelMismatch, "a member without a tunnel", End("web", "a", 20_000));
        Add("tunnel-of-nobody", RefusalCode.TunnelMismatch, "a tunnel of what is no member", End("web", "a", 20_000), End("web-2", "b", 20_001));
    }

    private void Unread()
    {
        var good = Encode(Good);
        var container = CanonicalWriter.Encode(Good.Workloads[0].Write);
        // A map of 19 fields begins with b3; "networks" is its last, as is every longer key.
        byte[] More(string key) => [0xb4, .. container[1..], .. Text(key), 0xf5];
        void Add(string name, string code, string describes, byte[] old, byte[] @new) =>
            _cases.Add(new RefusalCase($"reader-{name}", "reader", code, describes, Splice(good, old, @new)));

        var flist = new byte[Digest.Size];
        Of("flist").CopyTo(flist);
        Add("flist-by-name", RefusalCode.MutableReference, "an flist named by a tag", [.. Text("flist"), 0x58, 0x20, .. flist], [.. Text("flist"), .. Text("nginx:latest")]);
        Add("privileged", RefusalCode.HostAccess, "a privileged container", container, More("privileged"));
        Add("field-of-nobody", RefusalCode.UnknownField, "a field that is not understood", container, More("stdin-open"));
        Add("field-left-out", RefusalCode.MissingField, "a container without its networks", container, [0xb2, .. container[1..^(9 + 1)]]);
        byte[] Health(int port, int failures) =>
        [
            .. Text("health"), 0xa5, .. Text("path"), 0xf6, .. Text("port"), .. CanonicalWriter.Encode(w => w.UInt(port)), .. Text("every"), 0x0a, .. Text("within"), 0x02,
            .. Text("failures"), .. CanonicalWriter.Encode(w => w.UInt(failures)),
        ];
        Add("health-on-port-zero", RefusalCode.Malformed, "a health that is asked on port 0", [.. Text("health"), 0xf6], Health(0, 3));
        Add("health-on-no-port", RefusalCode.TooLarge, "a health that is asked on port 65536", [.. Text("health"), 0xf6], Health(65_536, 3));
        Add("health-never-fails", RefusalCode.Malformed, "a health that fails after no answer", [.. Text("health"), 0xf6], Health(8080, 0));
        Add("health-hardly-fails", RefusalCode.TooLarge, "a health that fails after 101 answers", [.. Text("health"), 0xf6], Health(8080, 101));
        var volume = new Volume("data", Node, Volume.Smallest, Media.Ssd, TimeSpan.Zero);
        byte[] With(params Workload[] more) => Encode(Good with { Workloads = [.. more, .. Good.Workloads] });
        byte[] Size(long bytes) => [.. Text("size"), .. CanonicalWriter.Encode(w => w.UInt(bytes))];
        _cases.Add(new RefusalCase("reader-volume-absurd", "reader", RefusalCode.TooLarge, "a volume of more than a petabyte", Splice(With(volume), Size(volume.Size.Value), Size(1_000_000_000_000_001))));
        void Absurd(string name, string describes, Workload workload) =>
            _cases.Add(new RefusalCase($"reader-{name}-absurd", "reader", RefusalCode.TooLarge, describes, Encode(Good with { Workloads = [workload] })));
        var (web, most) = ((Container)Good.Workloads[0], 1_000_000_000_000_000);
        Absurd("cpu", "a container of more than a million cores", web with { Cpu = new MilliCores(1_000_000_001) });
        Absurd("memory", "a container with more than a petabyte of memory", web with { Memory = new Bytes(most + 1) });
        Absurd("pids", "a container of more processes than there are numbers", web with { Pids = 32_769 });
        Absurd("scratch", "a scratch of more than a petabyte", web with { Scratch = [new Scratch("/tmp", new Bytes(most + 1))] });
        Absurd("vm-cpu", "a machine of more than a million cores", Vm() with { Cpu = new MilliCores(1_000_000_001) });
        Absurd("vm-memory", "a machine with more than a petabyte of memory", Vm() with { Memory = new Bytes(most + 1) });
        var networked = With(new Network("back", IPNetwork.Parse("10.1.0.0/24"), Egress.None));
        byte[] Base(byte last) => [.. Text("base"), 0x44, 10, 1, 0, last];
        _cases.Add(new RefusalCase("reader-network-within-itself", "reader", RefusalCode.Malformed, "a network that begins at an address within it", Splice(networked, Base(0), Base(1))));
        _cases.Add(new RefusalCase("reader-name-twice", "reader", RefusalCode.Malformed, "two workloads of one name", With(Good.Workloads[0])));
        Add("kind-of-nobody", RefusalCode.UnknownKind, "a workload of a kind that is not known", [.. Text("kind"), .. Text("container")], [.. Text("kind"), .. Text("function")]);
    }

    private void Closures()
    {
        void Add(string name, string code, string describes, SmallFlist flist) => _cases.Add(new RefusalCase($"closure-{name}", "closure", code, describes, Flist: flist));
        SmallFlist Flist() => new SmallFlist().File(Loader, ElfBuilder.Loader()).File("/bin/app", ElfBuilder.Program("liba.so"))
            .File("/usr/lib/liba.so", ElfBuilder.Library("liba.so", "libb.so")).File("/usr/lib/libb.so", ElfBuilder.Library("libb.so"));

        Add("entry-absent", RefusalCode.EntryNotDescribed, "an entry that the flist does not have", Flist().Without("/bin/app"));
        Add("entry-not-executable", RefusalCode.EntryNotDescribed, "an entry that nobody may execute", Flist().File("/bin/app", new ElfBuilder().Build(), 0b110_100_100));
        Add("entry-ring", RefusalCode.EntryNotDescribed, "an entry that is a link to itself", new SmallFlist().Link("/bin/app", "../bin/app"));
        Add("entry-cut-off", RefusalCode.EntryNotDescribed, "an ELF file that ends before what its header names", new SmallFlist().File("/bin/app", ElfBuilder.Program("liba.so").Build()[..100]));
        Add("loader-absent", RefusalCode.InterpreterNotDescribed, "a program whose loader is not there", Flist().Without(Loader));
        Add("script-interpreter-absent", RefusalCode.InterpreterNotDescribed, "a script whose interpreter is not there", new SmallFlist().File("/bin/app", "#!/bin/sh -e\n"));
        Add("env-program-absent", RefusalCode.InterpreterNotDescribed, "a script that lets env run what is in no directory of PATH",
            new SmallFlist().File("/bin/app", "#!/usr/bin/env python3\n").File("/usr/bin/env", new ElfBuilder()).Environment(("PATH", "/bin:/usr/bin")));
        Add("script-of-itself", RefusalCode.InterpreterNotDescribed, "a script that is its own interpreter", new SmallFlist().File("/bin/app", "#!/bin/app\n"));
        Add("library-absent", RefusalCode.LibraryNotDescribed, "a library that wants another that is not there", Flist().Without("/usr/lib/libb.so"));
        Add("library-elsewhere", RefusalCode.LibraryNotDescribed, "a library where the loader does not look", Flist().Without("/usr/lib/libb.so").File("/opt/libb.so", ElfBuilder.Library(null)));
        Add("library-of-another-machine", RefusalCode.LibraryNotDescribed, "a library for another machine",
            Flist().File("/usr/lib/libb.so", ElfBuilder.Library("libb.so") with { Machine = ElfBuilder.Arm64 }));
        Add("runpath-is-not-inherited", RefusalCode.LibraryNotDescribed, "a library that only the program's DT_RUNPATH would lead to", Flist().Without("/usr/lib/libb.so")
            .File("/bin/app", ElfBuilder.Program("liba.so") with { Runpath = "$ORIGIN/../opt" }).File("/opt/libb.so", ElfBuilder.Library(null)));
        Add("no-directory-for-proc", RefusalCode.PathInvalid, "a root without a directory for /proc", Flist().Without("/proc"));
        Add("no-directory-for-scratch", RefusalCode.PathInvalid, "a scratch where the flist has nothing", Flist().With(c => c with { Scratch = [new Scratch("/var/tmp", Bytes.MiB(1))] }));
        Add("no-directory-for-secret", RefusalCode.PathInvalid, "a secret in a directory that the flist does not have", Flist().With(c => c with { Secrets = [new Secret("/run/secrets/token", new byte[Whole])] }));
        Add("link-for-volume", RefusalCode.PathInvalid, "a volume on a link to a directory", Flist().Link("/data", "/srv").Directory("/srv").Volume("/data"));
        Add("file-for-volume", RefusalCode.PathInvalid, "a volume on a file", Flist().File("/data", "x").Volume("/data"));
        Add("entry-links-into-volume", RefusalCode.ExecFromWritable, "an entry that is a link into a volume", new SmallFlist().Link("/bin/app", "/data/app").Volume("/data"));
        Add("scratch-over-library", RefusalCode.ExecFromWritable, "a scratch over the directory of a library", Flist().Scratch("/usr/lib"));
        Add("library-path-in-volume", RefusalCode.ExecFromWritable, "LD_LIBRARY_PATH that names a volume", Flist().Volume("/data").Environment(("LD_LIBRARY_PATH", "/data/lib")));
        Add("configuration-too-large", RefusalCode.TooLarge, "an /etc/ld.so.conf of more than 64 KiB", Flist().File("/etc/ld.so.cache", "")
            .Add("/etc/ld.so.conf", new SmallFlist.Entry([0], null, 0b110_100_100, Size: 65_537)));
        Add("size-untrue", RefusalCode.FlistInvalid, "a file of another size than its chunk", new SmallFlist()
            .Add("/bin/app", new SmallFlist.Entry(new ElfBuilder().Build(), null, 0b111_101_101, Size: 1000)));
        Add("chunk-withheld", RefusalCode.FlistIncomplete, "a chunk of the entry that cannot be had", new SmallFlist()
            .Add("/bin/app", new SmallFlist.Entry(new ElfBuilder().Build(), null, 0b111_101_101, Withheld: true)));
    }

    private void Networks()
    {
        void Case(string name, string code, string describes, Network[] networks, params NetworkAddress[] addresses) => Terms($"network-{name}", code, describes, t => t with
        {
            Workloads = [.. networks.Concat<Workload>([((Container)t.Workloads[0]) with { Networks = [.. addresses] }]).OrderBy(w => w.Name, StringComparer.Ordinal)],
        });
        static Network Net(string name, string cidr, Egress egress = Egress.None) => new(name, IPNetwork.Parse(cidr), egress);
        static NetworkAddress At(string network, string address) => new(network, IPAddress.Parse(address));

        foreach (var (name, cidr, host) in new[]
        {
            ("public", "192.0.2.0/24", "192.0.2.2"), ("too-wide", "10.0.0.0/15", "10.0.0.2"), ("too-narrow", "10.0.0.0/29", "10.0.0.2"), ("loopback", "127.0.0.0/24", "127.0.0.2"),
            ("shared-space", "100.64.0.0/16", "100.64.0.2"), ("everything", "0.0.0.0/0", "10.0.0.2"), ("link-local", "fe80::/64", "fe80::2"), ("global", "2001:db8::/64", "2001:db8::2"),
            ("ipv6-too-wide", "fd00::/32", "fd00::2"), ("ipv6-too-narrow", "fd00::/125", "fd00::2"),
        })
            Case(name, RefusalCode.CidrInvalid, $"a network of {cidr}", [Net("back", cidr)], At("back", host));
        Case("overlap", RefusalCode.AddressConflict, "two networks of which one lies in the other", [Net("a", "10.1.0.0/16"), Net("b", "10.1.2.0/24")], At("a", "10.1.9.2"), At("b", "10.1.2.2"));
        Case("foreign-address", RefusalCode.AddressConflict, "an address outside its network", [Net("back", "10.1.0.0/24")], At("back", "10.2.0.2"));
        Case("foreign-family", RefusalCode.AddressConflict, "an IPv6 address in an IPv4 network", [Net("back", "10.1.0.0/24")], At("back", "fd00::2"));
        Case("its-own-name", RefusalCode.AddressConflict, "the address that names the network", [Net("back", "10.1.0.0/24")], At("back", "10.1.0.0"));
        Case("broadcast", RefusalCode.AddressConflict, "the address of everybody in the network", [Net("back", "10.1.0.0/24")], At("back", "10.1.0.255"));
        Case("ipv6-routers", RefusalCode.AddressConflict, "the address of all routers of the network", [Net("back", "fd00:1::/64")], At("back", "fd00:1::"));
        Case("unknown", RefusalCode.UnresolvedNetwork, "an address in a network that is not in the agreement", [], At("back", "10.1.0.2"));
        Case("of-nobody", RefusalCode.UnresolvedNetwork, "a network in which nobody has an address", [Net("back", "10.1.0.0/24")]);
        Case("two-ways-out", RefusalCode.AddressConflict, "a workload with egress by two networks", [Net("a", "10.1.0.0/24", Egress.Nat), Net("b", "10.2.0.0/24", Egress.Nat)], At("a", "10.1.0.2"), At("b", "10.2.0.2"));
        Terms("network-address-twice", RefusalCode.AddressConflict, "two workloads with one address", t => t with
        {
            Workloads =
            [
                Net("back", "10.1.0.0/24"), Web("web", Node) with { Networks = [At("back", "10.1.0.2")] }, Web("web-1", Node) with { Networks = [At("back", "10.1.0.2")] },
            ],
        });
    }

    private void Gateways()
    {
        static NetworkAddress At(string network, byte host) => new(network, new IPAddress([10, 1, 0, host]));
        var gateway = new Gateway("door", Node, "shop.example.org", Tls.Terminate, DomainProof.Dns, new Backend("web", 8080), [At("back", 3)]);
        void Case(string name, string code, string describes, params Gateway[] gateways) => Terms($"gateway-{name}", code, describes, t => t with
        {
            Workloads =
            [
                new Network("back", IPNetwork.Parse("10.1.0.0/24"), Egress.None), .. gateways, new Network("side", IPNetwork.Parse("10.2.0.0/24"), Egress.None),
                Web("web", Node) with { Networks = [At("back", 2)] }, Web("web-1", Node) with { Networks = [new NetworkAddress("side", IPAddress.Parse("10.2.0.2"))] },
            ],
        });

        var label = new string('a', 63);
        foreach (var (name, hostname) in new[]
        {
            ("one-label", "localhost"), ("empty", ""), ("empty-label", "shop..org"), ("dot-at-end", "shop.example.org."), ("wildcard", "*.example.org"), ("ipv4", "192.0.2.7"),
            ("ipv4-hex", "192.0.2.0x7"), ("ipv6", "2001:db8::7"), ("port", "shop.example.org:443"), ("capital", "Shop.example.org"), ("underscore", "my_shop.example.org"), ("umlaut", "bücher.example.org"),
            ("hyphen-first", "-shop.example.org"), ("hyphen-last", "shop-.example.org"), ("space", "shop.example.org "), ("newline", "shop.example.org\r\nx: y"),
            ("long-label", $"{label}a.example.org"), ("long", $"{label}.{label}.{label}.{label[..60]}.o"),
        })
            Case($"hostname-{name}", RefusalCode.HostnameInvalid, $"a gateway of the name '{hostname.ReplaceLineEndings("↵")}'", gateway with { Hostname = hostname });
        Case("name-twice", RefusalCode.NameTaken, "two gateways of one name", gateway, gateway with { Name = "gate", Networks = [At("back", 4)] });
        Case("backend-of-nobody", RefusalCode.UnresolvedBackend, "a gateway to a workload that the agreement does not have", gateway with { Backend = new Backend("app", 8080) });
        Case("backend-elsewhere", RefusalCode.UnresolvedBackend, "a gateway to a workload of another network", gateway with { Backend = new Backend("web-1", 8080) });
        Case("backend-itself", RefusalCode.UnresolvedBackend, "a gateway to itself", gateway with { Backend = new Backend("door", 8080) });
        Case("ring", RefusalCode.UnresolvedBackend, "two gateways that lead to each other", gateway with { Backend = new Backend("gate", 8080) },
            gateway with { Name = "gate", Hostname = "gate.example.org", Backend = new Backend("door", 8080), Networks = [At("back", 4)] });
        var whole = Good with { Workloads = [new Network("back", IPNetwork.Parse("10.1.0.0/24"), Egress.None), gateway with { Proof = DomainProof.Domain }, Web("web", Node) with { Networks = [At("back", 2)] }] };
        foreach (var (name, domain) in new[] { ("of-nobody", null), ("of-another", "example.net"), ("itself", "shop.example.org"), ("not-directly", "org") })
        {
            _cases.Add(new RefusalCase($"domain-{name}", "domain", RefusalCode.DomainNotProven, $"shop.example.org on a node that gives names directly under {domain ?? "nothing"}",
                Encode(whole), Domain: domain));
        }
        byte[] Backend(int port) => [.. Text("port"), .. CanonicalWriter.Encode(w => w.UInt(port)), .. Text("workload")];
        _cases.Add(new RefusalCase("reader-backend-port-zero", "reader", RefusalCode.Malformed, "a gateway to port 0", Splice(Encode(whole), Backend(8080), Backend(0))));
        _cases.Add(new RefusalCase("reader-backend-no-port", "reader", RefusalCode.TooLarge, "a gateway to port 65536", Splice(Encode(whole), Backend(8080), Backend(65_536))));
        Case("backend-network", RefusalCode.UnresolvedBackend, "a gateway to a network", gateway with { Backend = new Backend("back", 8080) });
        Case("no-network", RefusalCode.UnresolvedNetwork, "a gateway in no network", gateway with { Networks = [] });
        Case("two-networks", RefusalCode.UnresolvedNetwork, "a gateway in two networks", gateway with { Networks = [At("back", 3), new NetworkAddress("side", IPAddress.Parse("10.2.0.3"))] });
    }

    private void Addresses()
    {
        static PublicAddress At(string name, string ip, string workload = "web") => new(name, Node, IPAddress.Parse(ip), [new Port(Transport.Tcp, 443)], workload);
        void Case(string name, string code, string describes, params Workload[] more) => Terms($"address-{name}", code, describes,
            t => t with { Workloads = [.. t.Workloads.Concat(more).OrderBy(w => w.Name, StringComparer.Ordinal)] });

        Assert.Empty(AgreementRules.Check(Good with { Workloads = [At("a4", "203.0.113.7"), At("a6", "2001:db8::7"), .. Good.Workloads] }));
        Case("twice", RefusalCode.AddressConflict, "one address for two containers", At("a", "203.0.113.7"), At("b", "203.0.113.7", "web-1"), Web("web-1", Node));
        Case("two-of-a-family", RefusalCode.AddressConflict, "two addresses of one family for a container", At("a", "203.0.113.7"), At("b", "203.0.113.8"));
        Case("for-nobody", RefusalCode.UnresolvedBackend, "an address for a container that the agreement does not have", At("a", "203.0.113.7", "app"));
        Case("for-a-volume", RefusalCode.UnresolvedBackend, "an address for a volume", At("a", "203.0.113.7", "data"), new Volume("data", Node, Bytes.GiB(1), Media.Ssd, TimeSpan.Zero));
        var back = new Network("back", IPNetwork.Parse("10.1.0.0/24"), Egress.Nat);
        var vm = Vm() with { Networks = [new("back", IPAddress.Parse("10.1.0.2"))] };
        Assert.Empty(AgreementRules.Check(Good with { Workloads = [At("a4", "203.0.113.7", "vm"), At("a6", "2001:db8::7", "vm"), back, vm] }));
        Case("of-a-machine-without-a-network", RefusalCode.UnresolvedBackend, "an address for a machine without a card", At("a", "203.0.113.7", "vm"), Vm());
        Case("for-itself", RefusalCode.UnresolvedBackend, "an address for itself", At("a", "203.0.113.7", "a"));
        Terms("address-elsewhere", RefusalCode.UnresolvedBackend, "an address on another node than its workload", t => t with
        {
            Farms = [t.Farms[0] with { Nodes = [.. new[] { Node, Other }.OrderBy(n => n.Value)] }],
            Workloads = [At("a", "203.0.113.7") with { Node = Other }, .. t.Workloads],
        });
        var good = Encode(Good with { Workloads = [At("a", "203.0.113.7"), .. Good.Workloads] });
        byte[] port = [0xa2, .. Text("port"), 0x19, 0x01, 0xbb, .. Text("protocol"), .. Text("tcp")];
        void Unread(string name, string code, string describes, byte[] old, byte[] @new) => _cases.Add(new RefusalCase($"reader-address-{name}", "reader", code, describes, Splice(good, old, @new)));
        Unread("no-port", RefusalCode.Malformed, "an address without a port", [0x81, .. port], [0x80]);
        Unread("port-twice", RefusalCode.Malformed, "one port twice", [0x81, .. port], [0x82, .. port, .. port]);
        Unread("port-zero", RefusalCode.Malformed, "the port 0", [0x19, 0x01, 0xbb, .. Text("protocol")], [0x00, .. Text("protocol")]);
        Unread("no-such-port", RefusalCode.TooLarge, "the port 65536", [0x19, 0x01, 0xbb, .. Text("protocol")], [0x1a, 0, 1, 0, 0, .. Text("protocol")]);
        Unread("of-five-bytes", RefusalCode.Malformed, "an address of five bytes", [.. Text("ip"), 0x44, 203, 0, 113, 7], [.. Text("ip"), 0x45, 203, 0, 113, 7, 0]);
    }

    private static Machine Vm(string name = "vm") => new(
        name, Node, new FlistId(Of("flist")), "/boot/vmlinuz", "/boot/initrd.img", "console=ttyS0", new MilliCores(1000), Bytes.MiB(256), [],
        new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)), Bytes.MiB(1), [], []);

    private void Machines()
    {
        static Volume Disk(string name = "disk") => new(name, Node, Bytes.GiB(1), Media.Ssd, TimeSpan.Zero, VolumeForm.Disk);
        void With(string name, string code, string describes, params Workload[] workloads) => Terms(
            $"vm-{name}", code, describes, t => t with { Workloads = [.. t.Workloads.Concat(workloads).OrderBy(w => w.Name, StringComparer.Ordinal)] });

        Assert.Empty(AgreementRules.Check(Good with { Workloads = [Disk(), Vm() with { Disks = [new("data", "disk")] }, .. Good.Workloads] }));
        With("no-cpu", RefusalCode.SizeInvalid, "a machine without cpu", Vm() with { Cpu = new MilliCores(0) });
        With("too-many-cores", RefusalCode.SizeInvalid, "a machine of 65 cores", Vm() with { Cpu = new MilliCores(64_001) });
        With("no-memory", RefusalCode.SizeInvalid, "a machine without memory", Vm() with { Memory = Bytes.Zero });
        With("little-memory", RefusalCode.SizeInvalid, "a machine with less memory than a kernel needs", Vm() with { Memory = Bytes.MiB(63) });
        With("odd-memory", RefusalCode.SizeInvalid, "memory that is not whole MiB", Vm() with { Memory = Bytes.MiB(256) + new Bytes(1) });
        With("no-logs", RefusalCode.SizeInvalid, "a machine of whose console nothing is kept", Vm() with { Logs = Bytes.Zero });
        With("logs-over-bound", RefusalCode.SizeInvalid, "a machine with more than the most of logs", Vm() with { Logs = Runnable.MostLogs + new Bytes(1) });
        With("restart-backwards", RefusalCode.TermInvalid, "a largest wait below the first", Vm() with { Restart = new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.Zero) });
        With("kernel-is-root", RefusalCode.PathInvalid, "a kernel that is the root directory", Vm() with { Kernel = "/" });
        With("initrd-left-out", RefusalCode.PathInvalid, "no initial RAM disk", Vm() with { Initrd = "" });
        With("initrd-relative", RefusalCode.PathInvalid, "an initial RAM disk of no absolute path", Vm() with { Initrd = "boot/initrd.img" });
        With("line-of-two-lines", RefusalCode.Malformed, "a command line with a control character", Vm() with { CommandLine = "ro\ninit=/bin/sh" });
        With("line-too-long", RefusalCode.Malformed, "a command line longer than a kernel takes", Vm() with { CommandLine = new string('a', 2048) });
        With("line-placeholder", RefusalCode.EnvPlaceholder, "a command line to be filled in", Vm() with { CommandLine = "ro ip=<ADDRESS>" });
        With("disk-of-nobody", RefusalCode.UnresolvedVolume, "a disk that is no volume of the agreement", Vm() with { Disks = [new("data", "disk")] });
        With("disk-is-a-container", RefusalCode.UnresolvedVolume, "a disk that is no volume at all", Vm() with { Disks = [new("data", "web")] });
        With("disk-of-files", RefusalCode.VolumeConflict, "a volume of files as a disk", Disk() with { Form = VolumeForm.Files }, Vm() with { Disks = [new("data", "disk")] });
        With("disk-of-two", RefusalCode.VolumeConflict, "one disk of two machines", Disk(), Vm() with { Disks = [new("data", "disk")] }, Vm("vm-1") with { Disks = [new("data", "disk")] });
        With("disk-twice", RefusalCode.VolumeConflict, "one disk twice", Disk(), Vm() with { Disks = [new("a", "disk"), new("b", "disk")] });
        With("disk-odd", RefusalCode.SizeInvalid, "a disk that ends in the middle of a page", Disk() with { Size = Bytes.GiB(1) + new Bytes(512) });
        With("serial-too-long", RefusalCode.NameInvalid, "a serial that a disk cannot say", Disk(), Vm() with { Disks = [new("a-serial-of-21-letters", "disk")] });
        With("serial-of-the-root", RefusalCode.NameInvalid, "a disk that calls itself the root", Disk(), Vm() with { Disks = [new("root", "disk")] });
        Workload[] BySix(Egress egress) => [new Network("back", IPNetwork.Parse("fd00:1::/64"), egress), Vm() with { Networks = [new("back", IPAddress.Parse("fd00:1::2"))] }];
        Assert.Empty(AgreementRules.Check(Good with { Workloads = [.. BySix(Egress.None), .. Good.Workloads] }));
        With("leaves-by-ipv6", RefusalCode.AddressConflict, "a machine that would leave by nat from an IPv6 address", BySix(Egress.Nat));
        Terms("mount-of-a-disk", RefusalCode.VolumeConflict, "a container that mounts a machine's disk", t => t with
        {
            Workloads = [Disk("disk"), ((Container)t.Workloads[0]) with { Mounts = [new VolumeMount("/data", "disk")] }],
        });
        var vm = CanonicalWriter.Encode(Vm().Write);
        var good = Encode(Good with { Workloads = [Vm(), .. Good.Workloads] });
        var flist = new byte[Digest.Size];
        Of("flist").CopyTo(flist);
        byte[] named = [.. Text("flist"), 0x58, 0x20, .. flist];
        byte[] Altered(byte[] old, byte[] @new) => Splice(good, vm, Splice(vm, old, @new));
        _cases.Add(new RefusalCase("reader-vm-flist-by-name", "reader", RefusalCode.MutableReference, "a machine's flist named by a tag", Altered(named, [.. Text("flist"), .. Text("debian:12")])));
        _cases.Add(new RefusalCase("reader-vm-initrd-left-out", "reader", RefusalCode.MissingField, "a machine without an initial RAM disk",
            Altered([0xae, .. vm[1..]], [0xad, .. Splice(vm, [.. Text("initrd"), .. Text("/boot/initrd.img")], [])[1..]])));
        _cases.Add(new RefusalCase("reader-vm-with-a-device", "reader", RefusalCode.HostAccess, "a machine with a device of its node", Altered(vm, [0xaf, .. Splice(vm, Text("restart"), [.. Text("devices"), 0x80, .. Text("restart")])[1..]])));
    }

    private void Boots()
    {
        const string Kernel = "/boot/vmlinuz", Initrd = "/boot/initrd.img";
        static byte[] BzImage()
        {
            var image = new byte[4096];
            (image[0x1fe], image[0x1ff], image[0x206], image[0x207], image[0x211]) = (0x55, 0xaa, 0x0f, 0x02, 1);
            "HdrS"u8.CopyTo(image.AsSpan(0x202));
            return image;
        }
        static byte[] Archive() => [.. "070701"u8, .. new byte[506]];
        static SmallFlist Good() => SmallFlist.Bare().File(Kernel, BzImage()).File(Initrd, Archive()).Boots(Kernel, Initrd, Bytes.MiB(64));
        static byte[] Broken(Action<byte[]> how)
        {
            var image = BzImage();
            how(image);
            return image;
        }
        void Add(string name, string describes, SmallFlist flist, string code = RefusalCode.KernelNotDescribed) =>
            _cases.Add(new RefusalCase($"closure-vm-{name}", "closure", code, describes, Flist: flist));

        Good().Holds(Initrd, Kernel);
        Good().File(Kernel, MachineKernels.Elf(18)).Holds(Initrd, Kernel);
        Add("kernel-absent", "a kernel that the flist does not have", SmallFlist.Bare().File(Initrd, Archive()).Boots(Kernel, Initrd, Bytes.MiB(64)));
        Add("initrd-absent", "an initial RAM disk that the flist does not have", SmallFlist.Bare().File(Kernel, BzImage()).Boots(Kernel, Initrd, Bytes.MiB(64)));
        Add("kernel-is-a-link", "a kernel that is a link", Good().Link(Kernel, "vmlinuz-6.1"));
        Add("kernel-behind-a-link", "a kernel behind a link to a directory", Good().Link("/kernels", "/boot").Boots("/kernels/vmlinuz", Initrd, Bytes.MiB(64)));
        Add("kernel-is-a-directory", "a kernel that is a directory", Good().Boots("/boot", Initrd, Bytes.MiB(64)));
        Add("kernel-empty", "an empty kernel", Good().File(Kernel, ""));
        Add("kernel-is-text", "a kernel that is a script", Good().File(Kernel, "#!/bin/sh\nexec /bin/linux\n"));
        Add("kernel-cut-off", "a kernel that ends within its header", Good().File(Kernel, BzImage()[..0x210]));
        Add("kernel-without-magic", "a boot sector, which is no kernel", Good().File(Kernel, Broken(b => b[0x202] = 0)));
        Add("kernel-without-flag", "a setup header without its boot flag", Good().File(Kernel, Broken(b => b[0x1fe] = 0)));
        Add("kernel-zimage", "a kernel that is loaded low", Good().File(Kernel, Broken(b => b[0x211] = 0)));
        Add("kernel-is-a-program", "an ELF file that is no kernel", Good().File(Kernel, ElfBuilder.Program("liba.so")));
        Add("kernel-with-other-notes", "an ELF file whose notes name no entry", Good().File(Kernel, MachineKernels.Elf(17)));
        Add("kernel-with-endless-note", "an ELF file with a note longer than itself", Good().File(Kernel, MachineKernels.Elf(18, content: 0xffff_fff0)));
        Add("initrd-empty", "an empty initial RAM disk", Good().File(Initrd, ""));
        Add("initrd-is-text", "an initial RAM disk that no kernel unpacks", Good().File(Initrd, "root=/dev/vda"));
        SmallFlist Large(long size) => Good().Add(Kernel, new SmallFlist.Entry(BzImage(), null, 0b111_101_101, Size: size));
        // With its initial RAM disk half of the memory, to the byte.
        Large(Bytes.MiB(32).Value - Archive().Length).Holds(Initrd, Kernel);
        Add("kernel-too-large", "a kernel that leaves no memory", Large(Bytes.MiB(32).Value), RefusalCode.SizeInvalid);
    }

    private void Terms(string name, string code, string describes, Func<AgreementTerms, AgreementTerms> change) =>
        _cases.Add(new RefusalCase($"terms-{name}", "terms", code, describes, Encode(change(Good))));

    private void Container(string name, string code, string describes, Func<Container, Container> change) => Terms(
        name, code, describes, t => t with { Workloads = [change((Container)t.Workloads[0])] });

    private static Container Web(string name, NodeId node) => new(
        name, node, new FlistId(Of("flist")), "/bin/web", ["--port", "80"], [new("HOME", "/")], "/", new ContainerUser(1000, 1000),
        new MilliCores(1000), Bytes.GiB(1), 64, [], [new Scratch("/tmp", Bytes.MiB(16))],
        new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)), Bytes.MiB(1), [], []);

    private static Digest Of(string text) => Digest.Of(Encoding.UTF8.GetBytes(text));

    private static byte[] Text(string text)
    {
        var writer = new CborWriter();
        writer.WriteTextString(text);
        return writer.Encode();
    }

    private static byte[] Splice(byte[] bytes, byte[] old, byte[] @new)
    {
        var at = bytes.AsSpan().IndexOf(old);
        Assert.True(at >= 0, "what is to be replaced is there");
        return [.. bytes[..at], .. @new, .. bytes[(at + old.Length)..]];
    }
}
