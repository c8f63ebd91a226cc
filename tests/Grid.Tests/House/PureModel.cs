using System.Diagnostics;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using NSec.Cryptography;

namespace Grid.Tests.House;

/// <summary>What the compiler refuses in the model: the clock, chance, and all that leads out of it.</summary>
public sealed class PureModel
{
    private static readonly Type[] Impure =
    [
        typeof(Stopwatch), typeof(TimeProvider), typeof(TimeZoneInfo), typeof(System.Threading.Timer), typeof(System.Timers.Timer), typeof(PeriodicTimer), typeof(CancellationTokenSource),
        typeof(Random), typeof(Guid), typeof(RandomNumberGenerator),
        typeof(File), typeof(FileInfo), typeof(FileStream), typeof(FileSystemWatcher), typeof(Directory), typeof(DirectoryInfo), typeof(DriveInfo), typeof(Path), typeof(RandomAccess),
        typeof(StreamReader), typeof(StreamWriter), typeof(System.IO.MemoryMappedFiles.MemoryMappedFile), typeof(System.IO.Pipes.NamedPipeClientStream),
        typeof(HttpClient), typeof(Socket), typeof(TcpClient), typeof(UdpClient), typeof(Dns), typeof(HttpListener), typeof(Ping), typeof(NetworkInterface), typeof(ClientWebSocket),
        typeof(Environment), typeof(AppContext), typeof(OperatingSystem), typeof(Console), typeof(Process),
        typeof(Thread), typeof(ThreadPool), typeof(Task), typeof(Task<>), typeof(ValueTask), typeof(TaskFactory),
    ];

    // Of types that the model has a use for.
    private static readonly string[] Members =
    [
        "P:System.DateTime.Now", "P:System.DateTime.Today", "P:System.DateTime.UtcNow", "M:System.DateTime.ToLocalTime",
        "P:System.DateTimeOffset.LocalDateTime", "P:System.DateTimeOffset.Now", "P:System.DateTimeOffset.UtcNow", "M:System.DateTimeOffset.ToLocalTime",
    ];

    private static readonly string[] Entries = [.. File.ReadAllLines(Path.Combine(FindModel(), "BannedSymbols.txt")).Select(l => l.Split(';')[0])];

    [Fact]
    public void What_is_impure_is_banned_whole()
    {
        Assert.DoesNotContain(Impure, t => !Entries.Contains($"T:{t.FullName}") && !Entries.Any(e => e.StartsWith("N:", StringComparison.Ordinal) && $"{t.Namespace}.".StartsWith($"{e[2..]}.", StringComparison.Ordinal)));
        Assert.DoesNotContain(Members, m => !Entries.Contains(m));
    }

    // The analyzer passes over what it does not find, and bans no overload that is not named.
    [Fact]
    public void Every_entry_names_something_and_with_it_every_overload()
    {
        var types = Framework().Append(typeof(Key).Assembly).SelectMany(a => a.GetExportedTypes()).ToLookup(t => t.FullName!);
        var spaces = types.SelectMany(t => t).Select(t => t.Namespace).ToHashSet();
        Assert.Equal(Entries.Distinct(), Entries);
        Assert.All(Entries.GroupBy(e => e.Split('(')[0]), named =>
        {
            var (kind, name) = (named.Key[0], named.Key[2..]);
            var (type, member) = name.LastIndexOf('.') is var dot && kind is 'M' or 'P' ? (name[..dot], name[(dot + 1)..].Replace('#', '.')) : (name, "");
            var found = kind == 'N' ? spaces.Contains(name) ? 1 : 0
                : kind == 'T' ? types[name].Take(1).Count()
                : types[type].First().GetMember(member, BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance).Length;
            Assert.True(found == named.Count(), $"{named.Key}: {found}, of which {named.Count()} are named");
        });
    }

    private static IEnumerable<Assembly> Framework() =>
        Directory.EnumerateFiles(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "System*.dll").Select(f => Assembly.Load(Path.GetFileNameWithoutExtension(f)));

    private static string FindModel([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../../src/Grid"));
}
