using System.Security.Cryptography;
using System.Text;
using Grid.Accounts;
using Grid.Agreements;
using Grid.Secrets;
using Grid.Stories.Tests.Stage;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Stories.Tests;

/// <summary>What a workload must know and nobody else may: in its environment and in its files, and nowhere else, whatever happens.</summary>
[Collection("one at a time")]
public sealed class Secrets
{
    private const string Token = "TOKEN-that-nobody-may-see-5d1c", Key = "KEY-that-nobody-may-see-77e0\nwith a second line\n";

    [Fact]
    public async Task A_workload_has_its_secrets_and_nobody_else_does()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var farm = await stage.AddFarmAsync("north");
        var node = await stage.AddNodeAsync(farm, "one");
        var flist = await stage.PublishAsync(Trees.Make(stage, "keeper", root => Directory.CreateDirectory(Path.Combine(root, "run/secrets"))));
        // It says what only who knows the secrets can say, and whether it can do more with them than read.
        var keeper = Trees.Run("keeper", node.Id, flist, "sh", "-c", """
            printf %s "$TOKEN" | sha256sum
            sha256sum < /run/secrets/key
            ls -ln /run/secrets | tail -1 | cut -c1-10
            touch /run/secrets/other || echo read-only
            cp /bin/busybox /run/secrets/program || echo no program
            exec sleep 100000
            """);
        var terms = stage.Terms(keeper with { Secrets = [await stage.SealAsync(node, "/run/secrets/key", Key), await stage.SealAsync(node, "TOKEN", Token)] });
        var id = await stage.AgreeAsync(terms, "running");
        var expected = $"{Hash(Token)}  -\n{Hash(Key)}  -\n-r--------\nread-only\nno program\n";
        await Wait.ForAsync("it to say what it has", () => Said(node, id) == expected, () => Said(node, id) + stage.Logs());

        // Not on any disk, not in the list of processes, not in what the programs say.
        AssertUnseen(stage, node);

        // A kill of the agent changes nothing; an end of the workload, and even of the machine, gives it the same again.
        var pid = node.Running()["keeper"];
        await node.KillAgentAsync();
        await node.StartAsync();
        await Wait.ForAsync("the agent to see it", () => node.Status().GetProperty("workloads")[0].GetProperty("phase").GetString() == "running", stage.Logs);
        Assert.Equal(pid, node.Running()["keeper"]);
        Posix.Kill(pid);
        await Wait.ForAsync("the second start", () => Said(node, id) == expected + expected, () => Said(node, id) + stage.Logs());
        await node.CrashAsync();
        AssertUnseen(stage, node);
        await node.StartAsync();
        await Wait.ForAsync("the third start", () => Said(node, id) == expected + expected + expected, () => Said(node, id) + stage.Logs());

        // Who copies what is sealed, out of the log that everybody can read, has an agreement that the node refuses.
        var mallory = new AccountId((await stage.SubmitAsync(stage.Sign(null, new OpenAccount(new KeyPolicy([stage.Key("mallory").Public], 1)), "mallory"))).Statement.Id.Value);
        var copied = await stage.SubmitAsync(stage.Sign(mallory.Value, terms with { User = mallory, Term = Stage.Stage.Term() }, "mallory", farm.Name));
        var refused = await stage.UntilAsync(new AgreementId(copied.Statement.Id.Value), "refused");
        Assert.Contains(RefusalCode.SecretNotSealed, refused.Agreement.ToString());
        // Nor can it be put where a node that nobody sealed it to would look.
        Assert.Equal(RefusalCode.SecretNotSealed, await stage.RefusedAsync(stage.Proposal(terms with
        {
            Term = Stage.Stage.Term(),
            Workloads = [((Container)terms.Workloads[0]) with { Secrets = [new Secret("TOKEN", Encoding.UTF8.GetBytes(Token))] }],
        }, farm)));

        await stage.SubmitAsync(stage.Sign(stage.User.Value, new CancelAgreement(id), "user"));
        await Wait.ForAsync("every trace to be gone", () => node.EveryTrace().Count == 0, () => string.Join('\n', node.EveryTrace()) + stage.Logs());
        AssertUnseen(stage, node);
    }

    private static string Said(StageNode node, AgreementId id) =>
        string.Concat(node.Log(id, "keeper").Split('\n').Where(l => l.Contains(" stdout F ", StringComparison.Ordinal)).Select(l => l[(l.IndexOf(" F ", StringComparison.Ordinal) + 3)..] + "\n"));

    private static void AssertUnseen(Stage.Stage stage, StageNode node)
    {
        string[] values = [Token, Key.Split('\n')[0]];
        bool Holds(byte[] bytes) => values.Any(v => bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(v)) >= 0);
        // The ledger's database, the hub, the node's data, every log; what is in memory is mounted, and not looked into here.
        var onDisk = Directory.EnumerateFiles(stage.Directory, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint }).Where(f => new FileInfo(f).Length > 0).ToList();
        Assert.True(onDisk.Count > 50);
        Assert.DoesNotContain(onDisk, f => Holds(Read(f)));
        Assert.Equal("tmpfs", File.ReadLines("/proc/self/mounts").Select(l => l.Split(' ')).LastOrDefault(m => m[1] == node.Run)?[2] ?? "tmpfs");
        Assert.DoesNotContain(Directory.EnumerateDirectories("/proc").Where(p => int.TryParse(Path.GetFileName(p), out _)), p => Holds(Read(Path.Combine(p, "cmdline"))));
    }

    private static byte[] Read(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It ended meanwhile.
            return [];
        }
    }

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
