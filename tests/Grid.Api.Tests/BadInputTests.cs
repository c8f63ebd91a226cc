using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Grid.Log;

namespace Grid.Api.Tests;

public sealed class BadInputTests(LedgerFixture ledger)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("v1/statements/st1qqqq", 400, "malformed")]
    [InlineData("v1/accounts/farm1qqqq", 400, "malformed")]
    [InlineData("v1/farms/%01", 400, "malformed")]
    [InlineData("v1/agreements/xx/bundle", 400, "malformed")]
    [InlineData("v1/nodes/xx/agreements", 400, "malformed")]
    [InlineData("v1/names/nobody.example.org", 404, "not-found")]
    [InlineData("v1/names/2001:db8::7", 404, "not-found")]
    [InlineData("v1/names/Shop.example.org", 400, "malformed")]
    [InlineData("v1/names/localhost", 400, "malformed")]
    [InlineData("v1/names/2001:DB8::7", 400, "malformed")]
    [InlineData("v1/names/203.0.113.07", 400, "malformed")]
    [InlineData("v1/nowhere", 404, "not-found")]
    [InlineData("v2/ledger", 404, "not-found")]
    [InlineData("openapi/v2.json", 404, "not-found")]
    [InlineData("v1/farms?limit=0", 400, "malformed")]
    [InlineData("v1/farms?limit=1001", 400, "malformed")]
    [InlineData("v1/farms?limit=", 400, "malformed")]
    [InlineData("v1/farms?cursor=-1", 400, "malformed")]
    [InlineData("v1/farms?cursor=99999999999999999999", 400, "malformed")]
    [InlineData("v1/farms?limit=1&limit=2", 400, "malformed")]
    [InlineData("v1/farms?colour=blue", 400, "unknown-field")]
    [InlineData("v1/agreements?status=happy", 400, "malformed")]
    [InlineData("v1/agreements?user=me", 400, "malformed")]
    [InlineData("v1/drafts", 400, "missing-field")]
    [InlineData("v1/drafts?for=x", 400, "malformed")]
    [InlineData("v1/proof/99999999", 400, "malformed")]
    [InlineData("v1/proof/-1", 400, "malformed")]
    [InlineData("v1/proof/0?size=0", 400, "malformed")]
    [InlineData("v1/proof/zero", 400, "malformed")]
    [InlineData("v1/consistency", 400, "missing-field")]
    [InlineData("v1/consistency?from=0", 400, "malformed")]
    [InlineData("v1/consistency?from=5&to=4", 400, "malformed")]
    [InlineData("tile/0/000", 404, "not-found")]
    [InlineData("tile/0/x000/000", 400, "malformed")]
    [InlineData("tile/64/000", 400, "malformed")]
    [InlineData("tile/entries/999", 404, "not-found")]
    [InlineData("tile/0/000.p/0", 400, "malformed")]
    [InlineData("tile/..%2f..%2fetc%2fpasswd", 400, "malformed")]
    public async Task A_bad_address_gets_a_problem_with_a_code(string path, int status, string code)
    {
        using var response = await ledger.Http.GetAsync(new Uri(path, UriKind.Relative), Stop);
        await IsProblem(response, status, code);
    }

    [Theory]
    [InlineData("v1/accounts/")]
    [InlineData("v1/farms/")]
    [InlineData("v1/nodes/")]
    [InlineData("v1/offers/")]
    [InlineData("v1/agreements/")]
    [InlineData("v1/statements/")]
    public async Task What_is_not_there_is_not_found(string path)
    {
        var nothing = Units.Digest.Of("nothing"u8);
        var id = path switch
        {
            "v1/accounts/" => new Units.AccountId(nothing).ToString(),
            "v1/farms/" => new Units.FarmId(nothing).ToString(),
            "v1/nodes/" => new Units.NodeId(nothing).ToString(),
            "v1/offers/" => new Units.OfferId(nothing).ToString(),
            "v1/agreements/" => new Units.AgreementId(nothing).ToString(),
            _ => new Units.StatementId(nothing).ToString(),
        };
        using var response = await ledger.Http.GetAsync(new Uri(path + id, UriKind.Relative), Stop);
        await IsProblem(response, 404, RefusalCode.NotFound);
    }

    [Fact]
    public async Task A_bad_statement_gets_its_refusals_code()
    {
        var good = ledger.Make(g => g.Open(1, "bad-input"));
        var forged = good.Bytes.ToArray();
        forged[^1] ^= 1;
        await IsProblem(await ledger.PostAsync(forged), 403, RefusalCode.BadSignature);
        await IsProblem(await ledger.PostAsync([]), 400, RefusalCode.Malformed);
        await IsProblem(await ledger.PostAsync(new byte[100_000]), 413, RefusalCode.TooLarge);
        await IsProblem(await ledger.PostAsync(new byte[60_001]), 413, RefusalCode.TooLarge);
        await IsProblem(await ledger.PostAsync([.. good.Bytes.ToArray(), 0]), 400, RefusalCode.Malformed);
        await IsProblem(await ledger.PostAsync(ledger.Make(g => g.Sign(g.User.Value, g.Terms(g.Farms[0].Nodes[0].Id), "alpha"))), 403, RefusalCode.SignatureMissing);
        await IsProblem(await ledger.PostAsync(ledger.Make(g => g.Sign(g.Farms[0].Account.Value, new Farms.RegisterFarm("farm-beta"), "alpha"))), 409, RefusalCode.NameTaken);
        await IsProblem(await ledger.PostAsync(ledger.Make(g => g.Sign(g.Farms[0].Account.Value, new Farms.RegisterFarm("No!"), "alpha"))), 422, RefusalCode.NameInvalid);
        await IsProblem(await ledger.PostAsync(ledger.Make(g => g.SignedByUser(g.Terms(g.Farms[0].Nodes[0].Id), "mallory")), "v1/drafts"), 403, RefusalCode.StrangerSigned);
        await IsProblem(await ledger.PostAsync(forged, "v1/drafts"), 403, RefusalCode.BadSignature);
    }

    [Fact]
    public async Task Only_cose_is_taken_as_a_statement()
    {
        using var content = new StringContent("{}", Encoding.UTF8, "application/json");
        using var response = await ledger.Http.PostAsync(new Uri("v1/statements", UriKind.Relative), content, Stop);
        await IsProblem(response, 415, ApiCode.UnsupportedMediaType);
    }

    [Theory]
    [InlineData("v1/statements", "application/json", "A statement is sent as application/cose")]
    [InlineData("v1/drafts", null, "A statement is sent as application/cose.")]
    [InlineData("v1/logs", "application/cose", "what concerns a log as application/cbor.")]
    [InlineData("v1/logs", null, "A request for a log is sent as application/cbor.")]
    public async Task Who_sends_another_type_is_told_which_is_taken(string path, string? type, string said)
    {
        using var content = new ByteArrayContent("{}"u8.ToArray());
        content.Headers.ContentType = type is null ? null : new(type);
        using var response = await ledger.Http.PostAsync(new Uri(path, UriKind.Relative), content, Stop);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        Assert.Contains(said, (await LedgerFixture.JsonOf(response)).GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("v1/statements", "application/cose", Statements.Statement.MaximumSize)]
    [InlineData("v1/drafts", "application/cose", Statements.Statement.MaximumSize)]
    [InlineData("v1/logs", "application/cbor", Logs.LogRequest.MaximumSize)]
    [InlineData("v1/logs/{hash}", "application/cbor", Logs.LogAnswer.MaximumSize)]
    public async Task What_is_too_long_is_too_long_whether_its_length_is_stated_or_not(string path, string type, int maximum)
    {
        foreach (var (length, chunked, code) in new[] { (maximum + 1, true, RefusalCode.TooLarge), (2 * maximum, true, RefusalCode.TooLarge), (maximum + 1, false, RefusalCode.TooLarge), (maximum, true, null) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path.Replace("{hash}", new string('0', 64), StringComparison.Ordinal), UriKind.Relative));
            request.Content = new ByteArrayContent(new byte[length]);
            request.Content.Headers.ContentType = new(type);
            request.Headers.TransferEncodingChunked = chunked;
            using var response = await ledger.Http.SendAsync(request, Stop);
            if (code is not null)
                await IsProblem(response, 413, code);
            else
                Assert.NotEqual(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        }
    }

    [Theory]
    [InlineData(3900, 1, 16, 404, "not-found")]
    [InlineData(4200, 1, 16, 414, "too-large")]
    [InlineData(8, 2, 15_000, 431, "too-large")]
    [InlineData(8, 110, 16, 431, "too-large")]
    public async Task A_head_that_is_somewhat_too_long_is_answered_as_any_other(int path, int headers, int length, int status, string code)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri("v1/" + new string('a', path), UriKind.Relative));
        for (var i = 0; i < headers; i++)
            request.Headers.Add($"X-{i}", new string('a', length));
        using var response = await ledger.Http.SendAsync(request, Stop);
        await IsProblem(response, status, code);
    }

    [Fact]
    public async Task An_account_cannot_fill_the_drafts()
    {
        HttpStatusCode last = default;
        for (var i = 0; i <= Drafts.MaximumEach; i++)
        {
            using var response = await ledger.PostAsync(ledger.Make(g => g.Sign(g.Farms[1].Account.Value, new Farms.RegisterFarm($"draft-{i}"), "beta")), "v1/drafts");
            last = response.StatusCode;
        }
        Assert.Equal(HttpStatusCode.TooManyRequests, last);
    }

    [Fact]
    public async Task No_request_however_mangled_is_our_fault()
    {
        var random = new Random(3);
        var (farm, node) = (ledger.Grid.Farms[0], ledger.Grid.Farms[0].Nodes[0].Id);
        string[] paths =
        [
            "v1/statements", "v1/drafts", "v1/farms", "v1/agreements", "v1/proof/3", "v1/consistency?from=1", "tile/0/000", "tile/entries/000.p/9", "checkpoint", "v1/ledger",
            "v1/logs", $"v1/logs/{Units.Digest.Of("asked"u8)}", $"v1/agreements/{new Units.AgreementId(Units.Digest.Of("nothing"u8))}/bundle?receipts=false",
            "v1/nodes", $"v1/nodes/{node}", $"v1/nodes/{node}/agreements?after=1", "v1/offers", "v1/names/shop.example.org", $"v1/offers/{farm.Offer}", $"v1/farms/{farm.Id}", $"v1/accounts/{farm.Account}", $"v1/statements/{ledger.Make(g => g.Entries[1].Statement.Id)}",
        ];
        var size = int.Parse((await ledger.Http.GetStringAsync(new Uri("checkpoint", UriKind.Relative), Stop)).Split('\n')[1], CultureInfo.InvariantCulture);
        var first = new Uri(new TilePath(null, 0, int.Min(size, TilePath.FullWidth)).ToString(), UriKind.Relative);
        var before = await ledger.Http.GetByteArrayAsync(first, Stop);
        string[] methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
        var statements = ledger.Make(g => g.Entries.Select(e => e.Statement.Bytes.ToArray()).ToArray());
        for (var round = 0; round < 1500; round++)
        {
            var path = Mangle(random, paths[random.Next(paths.Length)]);
            using var request = new HttpRequestMessage(new HttpMethod(methods[random.Next(methods.Length)]), new Uri($"{ledger.Http.BaseAddress}{path}"));
            if (random.Next(2) == 0)
            {
                var body = statements[random.Next(statements.Length)].ToArray();
                for (var flips = random.Next(4); flips > 0; flips--)
                    body[random.Next(body.Length)] ^= (byte)(1 << random.Next(8));
                request.Content = new ByteArrayContent(body[..(random.Next(3) == 0 ? random.Next(body.Length) : body.Length)]);
                if (random.Next(4) != 0)
                    request.Content.Headers.TryAddWithoutValidation("Content-Type", random.Next(3) == 0 ? "application/cbor" : "application/cose");
            }
            using var response = await ledger.Http.SendAsync(request, Stop);
            Assert.True((int)response.StatusCode < 500, $"{request.Method} {path}: {(int)response.StatusCode}");
            // What is no HTTP at all is turned away by the server before there is a request to answer.
            if ((int)response.StatusCode >= 400 && request.Method != HttpMethod.Head && !(response.StatusCode == HttpStatusCode.BadRequest && response.Content.Headers.ContentLength == 0))
                await IsProblem(response, (int)response.StatusCode, null);
        }
        Assert.Equal(before, await ledger.Http.GetByteArrayAsync(first, Stop));
    }

    [Fact]
    public async Task Bytes_that_are_no_request_are_turned_away_and_the_ledger_goes_on()
    {
        var random = new Random(5);
        for (var round = 0; round < 40; round++)
        {
            using var socket = new TcpClient();
            await socket.ConnectAsync(ledger.Http.BaseAddress!.Host, ledger.Http.BaseAddress.Port, Stop);
            var junk = new byte[random.Next(1, 600)];
            random.NextBytes(junk);
            if (round % 2 == 0)
                junk = [.. "GET /v1/ledger HTTP/1.1\r\n"u8, .. junk, .. "\r\n\r\n"u8];
            try
            {
                await socket.GetStream().WriteAsync(junk, Stop);
                socket.Client.Shutdown(SocketShutdown.Send);
                using var reader = new StreamReader(socket.GetStream());
                Assert.DoesNotContain("HTTP/1.1 5", await reader.ReadToEndAsync(Stop));
            }
            catch (Exception e) when (e is IOException or SocketException or InvalidOperationException)
            {
                // Cut off, which is an answer too.
            }
        }
        Assert.Equal("ok\n", await ledger.Http.GetStringAsync(new Uri("healthz", UriKind.Relative), Stop));
    }

    /// <param name="code">null: any</param>
    private static async Task IsProblem(HttpResponseMessage response, int status, string? code)
    {
        var text = await response.Content.ReadAsStringAsync(Stop);
        Assert.True(status == (int)response.StatusCode, text);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        var problem = await LedgerFixture.JsonOf(response);
        var given = problem.GetProperty("code").GetString();
        Assert.NotEqual("", given);
        Assert.Equal((code ?? given, status), (given, problem.GetProperty("status").GetInt32()));
        Assert.NotEmpty(problem.GetProperty("detail").GetString()!);
        Assert.DoesNotContain("   at ", text);
        response.Dispose();
    }

    private static string Mangle(Random random, string path)
    {
        var text = new StringBuilder(path);
        const string Letters = "abz019/?&=%.-_~:1#x";
        for (var changes = random.Next(4); changes > 0; changes--)
        {
            var at = random.Next(1, text.Length);
            _ = random.Next(3) switch
            {
                0 => text.Remove(at, 1),
                1 => text.Insert(at, Letters[random.Next(Letters.Length)]),
                _ => text.Insert(at, Uri.EscapeDataString(((char)random.Next(1, 300)).ToString())),
            };
            if (text.Length < 2)
                return path;
        }
        return text.ToString();
    }
}
