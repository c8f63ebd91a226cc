using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using Grid.Flists.Hub;
using Grid.Units;

namespace Grid.Hub.Tests;

public sealed class EndpointTests
{
    private static readonly string Hash = new('a', 64);
    private static readonly string Flist = new FlistId(Digest.Of("nothing"u8)).ToString();

    [Fact]
    public async Task What_was_pushed_is_listed_and_pushing_again_changes_nothing()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        using var client = Scene.Client(hub.Address);
        var reports = new List<TransferProgress>();
        await Transfer.PushAsync(scene.Local, scene.Id, client.Hubs[0], new Collector(reports), default);
        Assert.Empty(reports);
        using var http = new HttpClient { BaseAddress = new Uri(hub.Address) };
        Assert.Equal($$"""{"items":["{{scene.Id}}"],"next":null}""", await http.GetStringAsync("/v1/flists"));
        Assert.Equal("""{"items":[],"next":null}""", await http.GetStringAsync($"/v1/flists?after={scene.Id}"));
        using var source = await FlistSource.OpenAsync(scene.Id, client, new SourceLimits(), default);
        Assert.Null(await source.ProveCompleteAsync(default));
    }

    [Fact]
    public async Task A_pull_makes_a_store_from_which_a_push_makes_a_hub()
    {
        await using var scene = await Scene.MakeAsync();
        var first = await scene.FilledHubAsync();
        using var from = Scene.Client(first.Address);
        using var store = Flists.Store.DirectoryStore.Open(scene["pulled"]);
        await Transfer.PullAsync(from, scene.Id, store, new SourceLimits(), null, default);
        var second = await scene.HubAsync("second");
        using var to = Scene.Client(second.Address);
        await Transfer.PushAsync(store, scene.Id, to.Hubs[0], null, default);
        using var http = new HttpClient { BaseAddress = new Uri(second.Address) };
        Assert.Contains(scene.Id.ToString(), await http.GetStringAsync("/v1/flists"));
    }

    [Fact]
    public async Task Ranges_and_tags_are_answered_as_RFC_9110_says()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.FilledHubAsync();
        var pack = Directory.GetFiles(Path.Combine(scene["hub"], "packs"), "*", SearchOption.AllDirectories).First();
        var bytes = await File.ReadAllBytesAsync(pack);
        using var http = new HttpClient { BaseAddress = new Uri(hub.Address) };
        var path = $"/v1/packs/{Path.GetFileName(pack)}";

        var whole = await http.GetAsync(path);
        Assert.Equal(bytes, await whole.Content.ReadAsByteArrayAsync());
        Assert.Equal("bytes", whole.Headers.AcceptRanges.Single());
        Assert.Contains("immutable", whole.Headers.CacheControl!.ToString());
        Assert.Equal($"\"{Path.GetFileName(pack)}\"", whole.Headers.ETag!.Tag);

        async Task<HttpResponseMessage> Ask(string range, string? ifRange = null, string? ifNoneMatch = null, HttpMethod? method = null)
        {
            var request = new HttpRequestMessage(method ?? HttpMethod.Get, path);
            request.Headers.TryAddWithoutValidation("Range", range);
            if (ifRange is not null)
                request.Headers.TryAddWithoutValidation("If-Range", ifRange);
            if (ifNoneMatch is not null)
                request.Headers.TryAddWithoutValidation("If-None-Match", ifNoneMatch);
            return await http.SendAsync(request);
        }

        foreach (var (range, from, length) in new[] { ("bytes=0-0", 0, 1), ("bytes=10-19", 10, 10), ("bytes=-5", bytes.Length - 5, 5), ("bytes=7-999999999999", 7, bytes.Length - 7) })
        {
            var part = await Ask(range);
            Assert.Equal(HttpStatusCode.PartialContent, part.StatusCode);
            Assert.Equal($"bytes {from}-{from + length - 1}/{bytes.Length}", part.Content.Headers.ContentRange!.ToString());
            Assert.Equal(bytes.AsSpan(from, length).ToArray(), await part.Content.ReadAsByteArrayAsync());
        }
        var beyond = await Ask($"bytes={bytes.Length}-");
        Assert.Equal(HttpStatusCode.RequestedRangeNotSatisfiable, beyond.StatusCode);
        Assert.Equal($"bytes */{bytes.Length}", beyond.Content.Headers.ContentRange!.ToString());
        Assert.Equal("malformed", await CodeAsync(beyond));
        Assert.Equal(HttpStatusCode.OK, (await Ask("bytes=0-1,4-5")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await Ask("lines=0-1")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await Ask("bytes=0-1", ifRange: "\"other\"")).StatusCode);
        Assert.Equal(HttpStatusCode.PartialContent, (await Ask("bytes=0-1", ifRange: whole.Headers.ETag.Tag)).StatusCode);
        Assert.Equal(HttpStatusCode.NotModified, (await Ask("bytes=0-1", ifNoneMatch: whole.Headers.ETag.Tag)).StatusCode);
        var head = await Ask("bytes=0-9", method: HttpMethod.Head);
        Assert.Equal((HttpStatusCode.PartialContent, 10), (head.StatusCode, head.Content.Headers.ContentLength));
    }

    [Theory]
    [InlineData("GET", "/", 404, "not-found")]
    [InlineData("GET", "/v1/packs/xyz", 400, "malformed")]
    [InlineData("GET", "/v1/packs/AAAA", 400, "malformed")]
    [InlineData("GET", "/v1/packs/{hash}", 404, "not-found")]
    [InlineData("GET", "/v1/meta/{hash}", 404, "not-found")]
    [InlineData("GET", "/v1/flists/{flist}/manifest", 404, "not-found")]
    [InlineData("GET", "/v1/flists/{flist}/index", 404, "not-found")]
    [InlineData("GET", "/v1/flists/fl1zzz/index", 400, "malformed")]
    [InlineData("GET", "/v1/flists?after=x", 400, "malformed")]
    [InlineData("GET", "/v1/flists?limit=0", 400, "malformed")]
    [InlineData("GET", "/v1/flists?limit=1001", 400, "malformed")]
    [InlineData("GET", "/v1/flists?limits=1", 400, "unknown-field")]
    [InlineData("GET", "/v1/flists?limit=1&limit=2", 400, "malformed")]
    [InlineData("GET", "/v1/packs/{hash}?range=1", 400, "unknown-field")]
    [InlineData("GET", "/v1/{long}", 414, "too-large")]
    [InlineData("DELETE", "/v1/packs/{hash}", 405, "method-not-allowed")]
    [InlineData("PUT", "/v1/packs/{hash}", 422, "flist-invalid")]
    [InlineData("PUT", "/v1/meta/{hash}", 422, "flist-invalid")]
    [InlineData("PUT", "/v1/flists/{flist}", 422, "flist-invalid")]
    [InlineData("PUT", "/v1/packs/..%2f..%2fetc", 400, "malformed")]
    [InlineData("POST", "/v1/missing", 400, "malformed")]
    public async Task A_bad_request_gets_a_problem_with_a_code(string method, string path, int status, string code)
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var hub = await scene.HubAsync();
        using var http = new HttpClient { BaseAddress = new Uri(hub.Address) };
        var request = new HttpRequestMessage(new HttpMethod(method), path.Replace("{hash}", Hash).Replace("{flist}", Flist).Replace("{long}", new string('a', 5000)));
        if (method is "PUT" or "POST")
            request.Content = new ByteArrayContent("not what you think it is"u8.ToArray()[..23]);
        var answer = await http.SendAsync(request);
        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Equal(code, await CodeAsync(answer));
        Assert.Empty(answer.Headers.Server);
    }

    [Fact]
    public async Task Headers_beyond_their_limit_are_refused_with_431()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var hub = await scene.HubAsync();
        using var http = new HttpClient { BaseAddress = new Uri(hub.Address) };
        http.DefaultRequestHeaders.Add("X-Long", new string('a', 17_000));
        var answer = await http.GetAsync("/healthz");
        Assert.Equal((431, "too-large"), ((int)answer.StatusCode, await CodeAsync(answer)));
    }

    [Fact]
    public async Task Bodies_beyond_their_limit_are_refused_with_413()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var hub = await scene.HubAsync(change: o => o with { MaximumMeta = 1000 });
        using var http = new HttpClient { BaseAddress = new Uri(hub.Address) };
        foreach (var (method, path, length) in new[] { ("PUT", $"/v1/meta/{Hash}", 1001), ("PUT", $"/v1/flists/{Flist}", (1 << 20) + 1), ("POST", "/v1/missing", 320_032) })
        {
            var stated = await http.SendAsync(new HttpRequestMessage(new HttpMethod(method), path) { Content = new ByteArrayContent(new byte[length]) });
            Assert.Equal((413, "too-large"), ((int)stated.StatusCode, await CodeAsync(stated)));
        }
    }

    [Fact]
    public async Task An_flist_is_published_only_when_its_tree_and_every_chunk_are_there()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.HubAsync();
        using var http = new HttpClient { BaseAddress = new Uri(hub.Address) };
        async Task<string> Publish()
        {
            var answer = await http.PutAsync($"/v1/flists/{scene.Id}", new ByteArrayContent(scene.Built.Manifest.Encode()));
            return answer.IsSuccessStatusCode ? "" : await CodeAsync(answer);
        }
        Assert.Equal("flist-incomplete", await Publish());
        using (var meta = new FileStream(scene.Local.TryOpenMeta(scene.Meta.Root)!, FileAccess.Read))
            Assert.Equal(HttpStatusCode.Created, (await http.PutAsync($"/v1/meta/{scene.Meta.Root}", new StreamContent(meta))).StatusCode);
        Assert.Equal("flist-incomplete", await Publish());
        var packs = Directory.GetFiles(Path.Combine(scene["local"], "packs"), "*", SearchOption.AllDirectories);
        foreach (var pack in packs)
            Assert.Equal(HttpStatusCode.Created, (await http.PutAsync($"/v1/packs/{Path.GetFileName(pack)}", new ByteArrayContent(File.ReadAllBytes(pack)))).StatusCode);
        Assert.Equal("", await Publish());
        Assert.Equal("", await Publish());
    }

    [Fact]
    public async Task A_pack_whose_chunks_do_not_hash_is_refused_whatever_its_name()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var hub = await scene.HubAsync();
        using var http = new HttpClient { BaseAddress = new Uri(hub.Address) };
        var good = File.ReadAllBytes(Directory.GetFiles(Path.Combine(scene["local"], "packs"), "*", SearchOption.AllDirectories).Single());
        var random = new Random(1);
        for (var i = 0; i < 300; i++)
        {
            var bad = (byte[])good.Clone();
            bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
            // Half of them under the hash they now have: then it is the inside that must not add up.
            var name = i % 2 == 0 ? Convert.ToHexStringLower(SHA256.HashData(bad)) : Convert.ToHexStringLower(SHA256.HashData(good));
            var answer = await http.PutAsync($"/v1/packs/{name}", new ByteArrayContent(bad));
            // A pack that only says less of its own chunks' order may still be whole; none of its chunks may be wrong.
            Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
        }
        Assert.Empty(Directory.GetFiles(Path.Combine(scene["hub"], "staging")));
    }

    [Fact]
    public async Task Seeded_random_requests_get_a_problem_with_a_code_at_worst_and_nothing_is_lost()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var hub = await scene.FilledHubAsync();
        using var http = new HttpClient { BaseAddress = new Uri(hub.Address) };
        var random = new Random(42);
        string[] methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"];
        string[] parts = ["v1", "flists", "packs", "meta", "missing", "manifest", "index", Hash, Flist, scene.Id.ToString(), scene.Meta.Root.ToString(), "%00", "%ff", "..", "é", "?limit=-1", "?after=", new('x', 300)];
        string[] ranges = ["bytes=0-", "bytes=-0", "bytes=5-1", "bytes=a-b", "bytes=99999999999999999999-", "x", "bytes=0-0,1-1"];
        for (var i = 0; i < 1500; i++)
        {
            var path = "/" + string.Join('/', Enumerable.Range(0, random.Next(1, 5)).Select(_ => parts[random.Next(parts.Length)]));
            var request = new HttpRequestMessage(new HttpMethod(methods[random.Next(methods.Length)]), path);
            if (random.Next(3) == 0)
                request.Headers.TryAddWithoutValidation("Range", ranges[random.Next(ranges.Length)]);
            if (request.Method.Method is "PUT" or "POST")
            {
                var body = new byte[random.Next(200)];
                random.NextBytes(body);
                request.Content = new ByteArrayContent(body);
            }
            using var answer = await http.SendAsync(request);
            Assert.True((int)answer.StatusCode < 500, $"{request.Method} {path}: {answer.StatusCode}");
            // A path with a zero in it is turned away by the server before there is a request to answer; an answer to HEAD has no body.
            if (answer is { StatusCode: HttpStatusCode.BadRequest, Content.Headers.ContentLength: 0 } && path.Contains("%00", StringComparison.Ordinal))
                continue;
            if ((int)answer.StatusCode >= 400 && request.Method != HttpMethod.Head)
                Assert.NotEqual("", await CodeAsync(answer));
        }
        using var client = Scene.Client(hub.Address);
        using var kept = await FlistSource.OpenAsync(scene.Id, client, new SourceLimits(), default);
        for (var i = 0; i < scene.Meta.DistinctChunkCount; i++)
            Assert.Equal(scene.Meta.DistinctChunk(i), Flists.Chunk.Hash(await kept.ReadChunkAsync(scene.Meta.DistinctChunk(i), default)));
    }

    [Fact]
    public async Task A_full_hub_says_so()
    {
        await using var scene = await Scene.MakeAsync();
        var hub = await scene.HubAsync(change: o => o with { MaximumBytes = 100_000 });
        using var client = Scene.Client(hub.Address);
        var error = await Assert.ThrowsAsync<HubException>(() => Transfer.PushAsync(scene.Local, scene.Id, client.Hubs[0], null, default));
        Assert.Equal(("capacity", HubFailure.Refused), (error.Refusal?.Code, error.Failure));
    }

    private static async Task<string> CodeAsync(HttpResponseMessage answer)
    {
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.DoesNotContain("   at ", text, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(text);
        Assert.NotEqual("", json.RootElement.GetProperty("detail").GetString());
        return json.RootElement.GetProperty("code").GetString()!;
    }

    private sealed class Collector(List<TransferProgress> reports) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value)
        {
            lock (reports)
                reports.Add(value);
        }
    }
}
