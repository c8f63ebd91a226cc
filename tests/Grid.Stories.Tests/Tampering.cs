using System.Text.Json;
using Grid.Agreements;
using Grid.Statements;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>Without either signature, or with any one bit changed, nothing is agreed and nothing starts.</summary>
[Collection("one at a time")]
public sealed class Tampering
{
    [Fact]
    public async Task No_flipped_bit_of_an_agreement_is_accepted_over_http()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        var statement = stage.Proposal(stage.Terms(Trees.Web("web", node.Id, flist)), stage.Farms[0]);
        using var http = new HttpClient { BaseAddress = stage.LedgerAddress };
        var random = new Random(1);
        var codes = new Dictionary<string, int>();
        var before = (await stage.Client.InfoAsync(default)).Try(out var info, out _) ? info.Index : -1;
        for (var round = 0; round < 1000; round++)
        {
            var bytes = statement.Bytes.ToArray();
            var at = random.Next(bytes.Length);
            bytes[at] ^= (byte)(1 << random.Next(8));
            using var content = new ByteArrayContent(bytes) { Headers = { ContentType = new("application/cose") } };
            using var answer = await http.PostAsync("v1/statements", content);
            using var problem = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
            var code = problem.RootElement.GetProperty("code").GetString()!;
            codes[code] = codes.GetValueOrDefault(code) + 1;
            // A signature is still one, of something else.
            if (statement.Signatures.Any(s => statement.Bytes.Span.IndexOf(s.Value.Span) is var start && at >= start && at < start + s.Value.Length))
                Assert.Equal(RefusalCode.BadSignature, code);
        }
        // It is no statement, or it is not what was signed; nothing was refused for another reason, as that it came too often.
        Assert.Subset(new HashSet<string>([RefusalCode.Malformed, RefusalCode.TooLarge, RefusalCode.UnknownField, RefusalCode.MissingField, RefusalCode.UnknownKind, RefusalCode.UnknownVersion, RefusalCode.BadSignature]), codes.Keys.ToHashSet());
        Assert.Equal(before, (await stage.Client.InfoAsync(default)).Try(out info, out _) ? info.Index : -2);
        await OnlyAsync(stage, node, flist);
    }

    [Fact]
    public async Task Without_the_users_or_the_farmers_signature_nothing_starts()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        var statement = stage.Proposal(stage.Terms(Trees.Web("web", node.Id, flist)), stage.Farms[0]);
        Assert.Equal(RefusalCode.SignatureMissing, await stage.RefusedAsync(statement.Only(k => k != stage.Key("user").Public)));
        var id = new AgreementId((await stage.SubmitAsync(statement.Only(k => k == stage.Key("user").Public))).Statement.Id.Value);
        Assert.Equal("proposed", (await stage.BundleAsync(id)).Agreement.Status);
        await OnlyAsync(stage, node, flist);
        Assert.Equal("proposed", (await stage.BundleAsync(id)).Agreement.Status);
    }

    [Fact]
    public async Task A_hub_whose_bytes_have_changed_starts_nothing()
    {
        await using var stage = await Stage.Stage.SetAsync(examine: false);
        var node = await stage.AddNodeAsync(await stage.AddFarmAsync("north"), "left");
        var flist = await stage.PublishAsync(Trees.Make(stage, "web"));
        // Every pack that the hub holds is damaged behind its back, in the middle, where the program's bytes lie.
        foreach (var pack in Directory.EnumerateFiles(stage.At("hub"), "*", SearchOption.AllDirectories).Where(f => new FileInfo(f).Length > 100_000))
        {
            var bytes = File.ReadAllBytes(pack);
            for (var at = 64; at < bytes.Length; at += 4096)
                bytes[at] ^= 1;
            File.SetUnixFileMode(pack, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            File.WriteAllBytes(pack, bytes);
        }
        var id = await stage.AgreeAsync(stage.Terms(Trees.Web("web", node.Id, flist)), "refused");
        Assert.Contains(Assert.IsType<Agreement.Refused>((await stage.BundleAsync(id)).Agreement).Code, new[] { RefusalCode.FlistInvalid, RefusalCode.FlistIncomplete });
        Assert.Empty(node.Traces());
    }

    /// <summary>Something else is agreed and runs, and by then nothing but that ever did.</summary>
    private static async Task OnlyAsync(Stage.Stage stage, StageNode node, FlistId flist)
    {
        await stage.AgreeAsync(stage.Terms(Trees.Web("other", node.Id, flist)), "running");
        Assert.Equal(["other"], node.Running().Keys);
        Assert.Equal(["other"], Directory.EnumerateFiles(Path.Combine(node.Data, "logs"), "agr1*.log").Select(f => Path.GetFileName(f).Split('.')[1]));
    }
}
