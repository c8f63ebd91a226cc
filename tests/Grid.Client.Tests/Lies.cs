using System.Text.Json.Nodes;
using Grid.Agreements;
using Grid.Ledger.Tests;
using Grid.Log;
using Grid.Tests.World;
using Grid.Units;
using Microsoft.AspNetCore.Http;

namespace Grid.Client.Tests;

/// <summary>Whatever does not hold up is not believed, and the answer says why.</summary>
public sealed class Lies
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, string> Twists => new()
    {
        { "a path with one other hash", "path", RefusalCode.BadProof },
        { "a path that is too short", "shortPath", RefusalCode.BadProof },
        { "another entry of the same log", "entry", RefusalCode.BadProof },
        { "another index", "index", RefusalCode.BadProof },
        { "another time", "time", RefusalCode.BadProof },
        { "a checkpoint by another key", "key", RefusalCode.BadCheckpoint },
        { "a checkpoint of another origin", "origin", RefusalCode.BadCheckpoint },
        { "a checkpoint with another root", "root", RefusalCode.BadCheckpoint },
        { "an entry that is no entry", "bytes", RefusalCode.Malformed },
        { "an answer without a path", "noPath", RefusalCode.Malformed },
    };

    [Theory]
    [MemberData(nameof(Twists))]
    public async Task A_twisted_answer_is_disproved(string what, string twist, string code)
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var grid = server.Grid;
        server.Twist = (_, answer) => Bend(answer, twist, server);
        using var client = server.Client();

        var answer = await client.StatementAsync(grid.Entries[5].Statement.Id, Stop);

        Assert.True(answer is Answer<Recorded>.Disproved, what);
        Assert.Equal(code, ((Answer<Recorded>.Disproved)answer).Refusal.Code);
    }

    [Fact]
    public async Task A_ledger_that_goes_back_is_disproved()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client();
        HonestAnswers.Given(await client.CheckpointAsync(Stop));

        server.Shown = server.Size - 1;

        Assert.Equal(RefusalCode.Inconsistent, Code(await client.CheckpointAsync(Stop)));
        Assert.Equal(RefusalCode.Inconsistent, Code(await client.StatementAsync(server.Grid.Entries[3].Statement.Id, Stop)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task A_forked_log_is_disproved_however_long_it_grows(int more)
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var seen = new MemoryCheckpointStore();
        server.Grid.Accept(server.Grid.Open(1, "anna"));
        using (var client = server.Client(seen))
            HonestAnswers.Given(await client.CheckpointAsync(Stop));
        var kept = seen.Note;

        using var honest = server.Grid;
        server.Grid = new TestGrid();
        server.Grid.Accept(server.Grid.Open(1, "boris"));
        for (var i = 0; i < more; i++)
            server.Grid.Accept(server.Grid.Open(1, $"guest-{i}"));

        // Also after a new start: what was seen is on disk.
        using var later = server.Client(seen);
        Assert.Equal(RefusalCode.Inconsistent, Code(await later.CheckpointAsync(Stop)));
        Assert.Equal(RefusalCode.Inconsistent, Code(await later.StatementAsync(server.Grid.Entries[3].Statement.Id, Stop)));
        Assert.Equal(kept, seen.Note);
    }

    [Fact]
    public async Task A_kept_checkpoint_that_is_damaged_is_not_passed_over()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client(new MemoryCheckpointStore(server.Note().Replace(TestGrid.Origin, "grid.test/mine", StringComparison.Ordinal)));

        Assert.Equal(RefusalCode.BadCheckpoint, Code(await client.CheckpointAsync(Stop)));
    }

    [Fact]
    public async Task No_flipped_bit_of_an_answer_makes_another_truth()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var wanted = server.Grid.Entries[4].Statement;
        var honest = new Checkpoint(TestGrid.Origin, server.Size, server.Tree().Root);
        var chance = new Random(20260101);
        var believed = 0;
        server.Mangle = body =>
        {
            body = [.. body];
            body[chance.Next(body.Length)] ^= (byte)(1 << chance.Next(8));
            return body;
        };
        for (var i = 0; i < 1000; i++)
        {
            using var client = server.Client();
            if (!(await client.StatementAsync(wanted.Id, Stop)).Try(out var recorded, out _))
                continue;
            // Only the words that nothing signs (known, events) can differ.
            believed++;
            Assert.Equal(wanted.Bytes, recorded.Statement.Bytes);
            Assert.Equal((4, server.Grid.Entries[4].Time), (recorded.Index, recorded.Time));
            Assert.Equal(honest, recorded.Checkpoint);
        }
        Assert.InRange(believed, 0, 250);
    }

    [Fact]
    public async Task No_flipped_bit_of_a_bundle_makes_another_agreement()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var running = server.Grid.Run(server.Grid.Terms(server.Grid.Farms[0].Nodes[0].Id));
        var honest = BundleJson.Format(server.Grid.Bundle(running.Id));
        var chance = new Random(20260102);
        server.Mangle = body =>
        {
            body = [.. body];
            body[chance.Next(body.Length)] ^= (byte)(1 << chance.Next(8));
            return body;
        };
        for (var i = 0; i < 1000; i++)
        {
            using var client = server.Client();
            if ((await client.BundleAsync(running.Id, receipts: true, Stop)).Try(out var found, out _))
                Assert.Equal(honest, BundleJson.Format(found.Bundle));
        }
    }

    [Fact]
    public async Task A_signature_that_the_ledger_dropped_is_missed()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var grid = server.Grid;
        var terms = grid.Terms(grid.Farms[0].Nodes[0].Id);
        var whole = grid.SignedByUser(terms, "alpha");
        grid.Accept(whole.Only(k => k != grid.Key("alpha").Public));
        using var client = server.Client();

        Assert.Equal(RefusalCode.BadProof, Code(await client.SubmitAsync(whole, Stop)));
    }

    [Fact]
    public async Task An_audit_finds_the_entry_that_was_changed()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client();
        server.Mangle = body =>
        {
            if (!EntryBundleIsIn(body))
                return body;
            var entries = EntryBundle.Decode(body);
            var swapped = entries.SetItem(6, Entry.Record(6, Entry.Decode(entries[6]).Time, Entry.Decode(entries[1]).StatementBytes).Bytes);
            return EntryBundle.Encode([.. swapped]);
        };

        var report = HonestAnswers.Given(await LogAudit.RunAsync(client, null, null, Stop));

        Assert.Equal(6, report.Checked);
        Assert.Contains("Entry 6", report.Problem!.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("text/html", 200, "<html>", RefusalCode.Malformed)]
    [InlineData("application/json", 200, "{}", RefusalCode.Malformed)]
    [InlineData("application/json", 200, "[1", RefusalCode.Malformed)]
    [InlineData("application/json", 302, "{}", RefusalCode.Malformed)]
    [InlineData("text/plain", 404, "not found", RefusalCode.Malformed)]
    [InlineData("application/problem+json", 404, "{\"code\":\"\"}", RefusalCode.Malformed)]
    public async Task What_is_not_a_ledgers_answer_is_said_to_be_none(string type, int status, string body, string code)
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        server.Instead = context => WriteAsync(context, type, status, body);
        using var client = server.Client();

        Assert.Equal(code, Code(await client.StatementAsync(server.Grid.Entries[1].Statement.Id, Stop)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_body_without_end_is_cut_off(bool saysItsLength)
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        server.Instead = async context =>
        {
            context.Response.ContentType = "application/json";
            if (saysItsLength)
                context.Response.ContentLength = long.MaxValue / 2;
            try
            {
                while (!context.RequestAborted.IsCancellationRequested)
                    await context.Response.Body.WriteAsync(new byte[65_536], context.RequestAborted);
            }
            catch (OperationCanceledException)
            {
                // The client went away, as it should.
            }
        };
        using var client = server.Client();

        Assert.Equal(RefusalCode.TooLarge, Code(await client.StatementAsync(server.Grid.Entries[1].Statement.Id, Stop)));
    }

    [Fact]
    public async Task A_ledger_that_does_not_answer_is_unreachable_after_a_while()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        var asked = new TaskCompletionSource();
        server.Instead = async context =>
        {
            asked.TrySetResult();
            try
            {
                await Task.Delay(Timeout.Infinite, context.RequestAborted);
            }
            catch (OperationCanceledException)
            {
                // The client gave up.
            }
        };
        var clock = new TestClock(TestGrid.Epoch);
        using var client = server.Client(time: clock);

        var answer = client.StatementAsync(server.Grid.Entries[1].Statement.Id, Stop);
        await asked.Task;
        clock.Set(TestGrid.Epoch + LedgerClient.Timeout);

        var unreachable = await Assert.ThrowsAsync<LedgerUnreachableException>(() => answer);
        Assert.Contains("30 s", unreachable.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_ledger_that_is_busy_or_not_there_is_unreachable()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        server.Instead = context => WriteAsync(context, "application/problem+json", 503, """{"code":"busy","detail":"Later."}""");
        using var client = server.Client();
        var busy = await Assert.ThrowsAsync<LedgerUnreachableException>(() => client.CheckpointAsync(Stop));
        Assert.Contains("Later.", busy.Message, StringComparison.Ordinal);

        using var nobody = new LedgerClient(new HttpClient { BaseAddress = new Uri("http://127.0.0.1:1") }, client.Trust, new MemoryCheckpointStore(), TimeProvider.System);
        await Assert.ThrowsAsync<LedgerUnreachableException>(() => nobody.CheckpointAsync(Stop));
    }

    [Fact]
    public async Task Giving_up_oneself_is_no_failure_of_the_ledger()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client();
        using var own = new CancellationTokenSource();
        await own.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.CheckpointAsync(own.Token));
    }

    [Fact]
    public async Task Another_ledger_than_the_pinned_one_is_refused()
    {
        await using var server = await TwistedServer.StartAsync(new TestGrid());
        using var client = server.Client(key: "somebody-else");

        Assert.Equal(RefusalCode.WrongLedger, Code(await client.InfoAsync(Stop)));
        Assert.Equal(RefusalCode.BadCheckpoint, Code(await client.CheckpointAsync(Stop)));
    }

    private static void Bend(JsonObject answer, string twist, TwistedServer server)
    {
        var grid = server.Grid;
        var tree = server.Tree();
        switch (twist)
        {
            case "path":
                answer["path"]![0] = Digest.Of("other"u8).ToString();
                break;
            case "shortPath":
                answer["path"]!.AsArray().RemoveAt(0);
                break;
            case "noPath":
                answer.Remove("path");
                break;
            case "entry":
                answer["entry"] = Convert.ToBase64String(Entry.Record(5, grid.Entries[5].Time, grid.Entries[4].Statement.Bytes).Bytes.Span);
                break;
            case "index":
                answer["index"] = 4;
                break;
            case "time":
                answer["time"] = "2027-01-01T00:00:00Z";
                break;
            case "bytes":
                answer["entry"] = "AAAA";
                break;
            case "key":
                answer["checkpoint"] = new Checkpoint(TestGrid.Origin, tree.Size, tree.Root).Sign(grid.Key("thief")).ToString();
                break;
            case "origin":
                answer["checkpoint"] = new Checkpoint("grid.test/other", tree.Size, tree.Root).Sign(grid.Key("ledger")).ToString();
                break;
            case "root":
                answer["checkpoint"] = answer["checkpoint"]!.GetValue<string>().Replace(Convert.ToBase64String(tree.Root.ToArray()), Convert.ToBase64String(Digest.Of("x"u8).ToArray()), StringComparison.Ordinal);
                break;
        }
    }

    private static bool EntryBundleIsIn(byte[] body) => body.Length > 2 && body[0] != (byte)'{' && body[0] != (byte)'g';

    private static string Code<T>(Answer<T> answer)
    {
        Assert.False(answer.Try(out _, out var refusal));
        Assert.IsType<Answer<T>.Disproved>(answer);
        return refusal.Code;
    }

    private static async Task WriteAsync(HttpContext context, string type, int status, string body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        await context.Response.WriteAsync(body);
    }
}
