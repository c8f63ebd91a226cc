using System.Security.Cryptography;
using System.Text;
using Grid.Node.Containers;
using Grid.Node.Secrets;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Secrets;

public sealed class NodeSecretsTests : IDisposable
{
    private const string Ledger = "grid.test/main";

    private static readonly AccountId User = new(Digest.Of("user"u8));
    private static readonly byte[] Seed = SHA256.HashData("node"u8);
    private static readonly Container Workload = new(
        "web", default, default, "/bin/web", [], [new("HOME", "/")], "/", new ContainerUser(1000, 100), new MilliCores(100), Bytes.MiB(8), 4, [], [],
        new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1)), Bytes.MiB(1), [], []);

    private readonly SecretOpener _opener = new(Seed, Ledger);

    [Fact]
    public void What_a_variable_cannot_hold_is_refused_before_anything_starts()
    {
        Assert.Null(Examine(Seal("A", "plain"u8), Seal("/run/secrets/b", [0, 0xff])));
        Assert.Equal(RefusalCode.Malformed, Examine(Seal("A", "zero\0byte"u8))?.Code);
        Assert.Equal(RefusalCode.Malformed, Examine(Seal("A", [0xff, 0xfe]))?.Code);
        Assert.Equal(RefusalCode.SecretNotSealed, Examine(Seal("A", "plain"u8, user: new AccountId(Digest.Of("mallory"u8))))?.Code);
        Assert.Equal(RefusalCode.SecretNotSealed, Examine(new Secret("A", new byte[112]))?.Code);
    }

    [Fact]
    public void A_node_whose_run_directory_is_on_a_disk_takes_no_secrets_and_everything_else()
    {
        var secrets = new NodeSecrets(_opener, new SecretPlaces("/nowhere"), inMemory: false);
        Assert.Equal(RefusalCode.UnsupportedKind, secrets.Examine(User, [Workload with { Secrets = [Seal("A", "plain"u8)] }])?.Code);
        Assert.Null(secrets.Examine(User, [Workload]));
    }

    [Fact]
    public void A_variable_is_in_the_environment_and_a_file_is_what_its_user_alone_can_read()
    {
        if (!Environment.IsPrivilegedProcess)
            Assert.Skip("Mounting needs root.");
        var directory = Directory.CreateTempSubdirectory("grid-secrets-").FullName;
        var places = new SecretPlaces(directory);
        var container = Workload with { Secrets = [Seal("/etc/tls/key", "k"u8), Seal("/run/secrets/a", "1"u8), Seal("/run/secrets/b", "22"u8), Seal("TOKEN", "t"u8)] };
        var spec = ContainerSpec.From(default, default, 1, 0, container, "/root", new UidRange(UidRange.Base), new Dictionary<string, string>());
        try
        {
            var (given, outcome) = new NodeSecrets(_opener, places, inMemory: true).Give(spec, container, User, anew: true);
            Assert.IsType<Outcome.Done>(outcome);
            Assert.Equal([new("HOME", "/"), new("TOKEN", "t")], given!.Environment);
            Assert.Equal([("/etc/tls", true), ("/run/secrets", true)], given.Volumes.Select(v => (v.Path, v.ReadOnly)));
            Assert.Equal(["key"], Directory.EnumerateFiles(given.Volumes[0].Source).Select(Path.GetFileName));
            Assert.Equal(["a 1", "b 22"], Directory.EnumerateFiles(given.Volumes[1].Source).Order().Select(f => $"{Path.GetFileName(f)} {File.ReadAllText(f)}"));
            Assert.All(Directory.EnumerateFiles(given.Volumes[1].Source), f => Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(f)));
            Assert.All(MountLine.Read("self").Where(m => m.Point.StartsWith(directory, StringComparison.Ordinal)), m => Assert.Superset(new HashSet<string>(["ro", "nosuid", "nodev", "noexec"]), m.Options.ToHashSet()));
            Assert.Equal([spec.Id], places.Known());
            // The second look at what is in use makes nothing anew.
            var mounts = MountLine.Read("self").Length;
            Assert.Equal(given, new NodeSecrets(_opener, places, inMemory: true).Give(spec, container, User, anew: false).Spec);
            Assert.Equal(mounts, MountLine.Read("self").Length);
        }
        finally
        {
            places.Hide(spec.Id);
        }
        Assert.Empty(Directory.EnumerateFileSystemEntries(directory));
        Assert.DoesNotContain(MountLine.Read("self"), m => m.Point.StartsWith(directory, StringComparison.Ordinal));
        Directory.Delete(directory);
    }

    public void Dispose() => _opener.Dispose();

    private Refusal? Examine(params Secret[] secrets) => new NodeSecrets(_opener, new SecretPlaces("/nowhere"), inMemory: true).Examine(User, [Workload with { Secrets = [.. secrets] }]);

    private static Secret Seal(string at, ReadOnlySpan<byte> value, AccountId? user = null)
    {
        using var node = SigningKey.FromSeed(Seed);
        return new Secret(at, SecretSeal.Seal(value, Ledger, user ?? User, node.Public, RandomNumberGenerator.GetBytes(32))!);
    }
}
