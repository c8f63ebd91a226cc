using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grid.Api.Tests;

/// <summary>The OpenAPI document says what is there, all of it, and nothing else.</summary>
public sealed partial class DescriptionTests(LedgerFixture ledger)
{
    private static readonly string[] Methods = ["delete", "get", "patch", "post", "put"];

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Its_paths_and_methods_are_the_routes()
    {
        var described = Operations(await ledger.GetAsync("openapi/v1.json")).Select(o => $"{o.Method} {o.Path}").ToList();
        // What serves the document does not describe itself.
        var mapped = ledger.Endpoints.OfType<RouteEndpoint>().Where(e => e.RoutePattern.RawText?.StartsWith("/openapi/", StringComparison.Ordinal) == false)
            .SelectMany(e => MethodsOf(e).Select(m => $"{m} {PathOf(e)}"));

        Assert.Contains("post /v1/statements", described);
        Assert.Equal(mapped.Order(StringComparer.Ordinal), described.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Any_other_method_is_refused_and_every_described_one_is_not()
    {
        foreach (var path in Operations(await ledger.GetAsync("openapi/v1.json")).ToLookup(o => o.Path, o => o.Method))
        {
            foreach (var method in Methods)
            {
                using var request = new HttpRequestMessage(new HttpMethod(method.ToUpperInvariant()), new Uri(Hole().Replace(path.Key, "x")[1..], UriKind.Relative));
                using var response = await ledger.Http.SendAsync(request, Stop);
                Assert.True((int)response.StatusCode == 405 != path.Contains(method), $"{method} {path.Key}: {(int)response.StatusCode}");
            }
        }
    }

    [Fact]
    public async Task Every_query_that_is_described_is_taken()
    {
        foreach (var (path, method, operation) in Operations(await ledger.GetAsync("openapi/v1.json")).Where(o => o.Method == "get"))
        {
            var names = Parameters(operation, "query");
            var endpoint = ledger.Endpoints.OfType<RouteEndpoint>().Single(e => PathOf(e) == path && MethodsOf(e).Contains(method));
            Assert.Equal((endpoint.Metadata.GetMetadata<Queries>()?.Names ?? []).Order(), names.Order());
            Assert.Equal(Hole().Count(path), Parameters(operation, "path").Count());
        }
    }

    [Fact]
    public async Task Every_operation_may_be_refused_with_the_codes_that_there_are()
    {
        var description = await ledger.GetAsync("openapi/v1.json");
        Assert.All(Operations(description), o => Assert.Equal("#/components/schemas/ProblemDocument",
            o.Operation.GetProperty("responses").GetProperty("default").GetProperty("content").GetProperty("application/problem+json").GetProperty("schema").GetProperty("$ref").GetString()));
        var problem = description.GetProperty("components").GetProperty("schemas").GetProperty("ProblemDocument").GetProperty("properties");
        var codes = problem.GetProperty("code").GetProperty("enum").EnumerateArray().Select(c => c.GetString()!).ToList();

        Assert.Equal(Constants(typeof(RefusalCode)).Concat(Constants(typeof(ApiCode))).Order(StringComparer.Ordinal), codes);
        using var response = await ledger.Http.GetAsync(new Uri("v1/nowhere", UriKind.Relative), Stop);
        var refused = await LedgerFixture.JsonOf(response);
        Assert.Contains(refused.GetProperty("code").GetString(), codes);
        Assert.Equal(refused.EnumerateObject().Select(p => p.Name).Order(), problem.EnumerateObject().Select(p => p.Name).Order());
    }

    private static string PathOf(RouteEndpoint endpoint) => endpoint.RoutePattern.RawText!.Replace("{**", "{", StringComparison.Ordinal);

    private static IEnumerable<string> MethodsOf(RouteEndpoint endpoint) => endpoint.Metadata.GetRequiredMetadata<HttpMethodMetadata>().HttpMethods.Select(m => m.ToLowerInvariant());

    private static IEnumerable<string> Constants(Type codes) => codes.GetFields().Where(f => f.IsLiteral).Select(f => (string)f.GetRawConstantValue()!);

    private static IEnumerable<(string Path, string Method, JsonElement Operation)> Operations(JsonElement description) =>
        description.GetProperty("paths").EnumerateObject().SelectMany(p => p.Value.EnumerateObject().Where(m => Methods.Contains(m.Name)).Select(m => (p.Name, m.Name, m.Value)));

    private static IEnumerable<string> Parameters(JsonElement operation, string where) => operation.TryGetProperty("parameters", out var all)
        ? all.EnumerateArray().Where(p => p.GetProperty("in").GetString() == where).Select(p => p.GetProperty("name").GetString()!) : [];

    [GeneratedRegex(@"\{[^}]+\}")]
    private static partial Regex Hole();
}
