using System.Reflection;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Grid.Api;

/// <summary>What the OpenAPI document says beside what the framework sees: times, queries, and how every answer may be refused.</summary>
internal static class Description
{
    private const string Problem = nameof(ProblemDocument);

    public static void Complete(OpenApiOptions options) =>
        options.AddSchemaTransformer(Schema).AddOperationTransformer(OperationAsync).AddDocumentTransformer(DocumentAsync);

    private static Task Schema(OpenApiSchema schema, OpenApiSchemaTransformerContext context, CancellationToken cancel)
    {
        // The framework cannot see through our way of writing times.
        if ((Nullable.GetUnderlyingType(context.JsonTypeInfo.Type) ?? context.JsonTypeInfo.Type) == typeof(DateTimeOffset))
            (schema.Type, schema.Format) = (context.JsonTypeInfo.Type == typeof(DateTimeOffset) ? JsonSchemaType.String : JsonSchemaType.String | JsonSchemaType.Null, "date-time");
        return Task.CompletedTask;
    }

    private static Task OperationAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancel)
    {
        operation.Parameters ??= [];
        foreach (var query in context.Description.ActionDescriptor.EndpointMetadata.OfType<Queries>().SelectMany(q => q.Names))
        {
            if (!operation.Parameters.Any(p => p.Name == query))
                operation.Parameters.Add(new OpenApiParameter { Name = query, In = ParameterLocation.Query, Schema = new OpenApiSchema { Type = JsonSchemaType.String } });
        }
        (operation.Responses ??= [])["default"] = new OpenApiResponse
        {
            Description = "Refused; 'code' says why (RFC 9457).",
            Content = new Dictionary<string, OpenApiMediaType> { ["application/problem+json"] = new() { Schema = new OpenApiSchemaReference(Problem, context.Document) } },
        };
        return Task.CompletedTask;
    }

    private static async Task DocumentAsync(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancel)
    {
        var schema = await context.GetOrCreateSchemaAsync(typeof(ProblemDocument), null, cancel);
        if (schema.Properties?["code"] is OpenApiSchema code)
            code.Enum = [.. Codes().Select(c => (JsonNode)JsonValue.Create(c))];
        document.AddComponent(Problem, schema);
    }

    private static IEnumerable<string> Codes() => new[] { typeof(RefusalCode), typeof(ApiCode) }
        .SelectMany(t => t.GetFields(BindingFlags.Public | BindingFlags.Static)).Where(f => f.IsLiteral).Select(f => (string)f.GetRawConstantValue()!).Order(StringComparer.Ordinal);
}
