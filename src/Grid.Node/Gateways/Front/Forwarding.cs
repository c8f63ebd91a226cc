using System.Net;
using System.Net.Http.Headers;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Yarp.ReverseProxy.Forwarder;

namespace Grid.Node.Gateways.Front;

/// <summary>Takes a request that came in by TLS to the backend of its route, and the answer back.</summary>
internal sealed class Forwarding(IHttpForwarder forwarder)
{
    private const string GrpcType = "application/grpc";

    private static readonly ForwarderRequestConfig Plain = new() { Version = HttpVersion.Version11, VersionPolicy = HttpVersionPolicy.RequestVersionExact, ActivityTimeout = FrontLimits.Silence };
    private static readonly ForwarderRequestConfig Grpc = Plain with { Version = HttpVersion.Version20 };

    /// <summary>Null for what came in by the plain port.</summary>
    public static ServedRoute? RouteOf(HttpContext context) => context.Features.Get<IConnectionItemsFeature>() is { } items ? Doorkeeper.RouteOf(items.Items) : null;

    public async Task ForwardAsync(HttpContext context, ServedRoute route)
    {
        // RFC 9110 §7.4: a connection for one name is not good for another.
        if (!string.Equals(context.Request.Host.Host, route.Route.Hostname, StringComparison.OrdinalIgnoreCase))
        {
            await PlainWords.AnswerAsync(context, StatusCodes.Status421MisdirectedRequest, $"This connection is for {route.Route.Hostname}.");
            return;
        }
        if (!IsPlain(Target(context)))
        {
            await PlainWords.AnswerAsync(context, StatusCodes.Status400BadRequest, "This is not a request's target.");
            return;
        }
        // gRPC needs trailers, which only HTTP/2 has; what says it is gRPC knows it with prior knowledge (RFC 9113 §3.3).
        var http2 = HttpProtocol.IsHttp2(context.Request.Protocol);
        var grpc = http2 && IsGrpc(context.Request.ContentType);
        if (grpc)
        {
            // YARP hands on each message as it comes, and lets a stream wait for its next, only under the type's bare name: application/grpc+proto would stay in a buffer.
            context.Items[GrpcType] = context.Request.ContentType;
            context.Request.ContentType = GrpcType;
        }
        if (http2)
            ImpatientBody.Put(context);
        var error = await forwarder.SendAsync(context, route.Prefix, route.Http, grpc ? Grpc : Plain, Transformer.Instance, route.Over);
        if (error is not ForwarderError.None && !context.Response.HasStarted && context.Response.StatusCode is StatusCodes.Status502BadGateway or StatusCodes.Status504GatewayTimeout)
            await PlainWords.AnswerAsync(context, context.Response.StatusCode, $"What serves {route.Route.Hostname} does not answer.");
    }

    // The type alone, with what its messages are, or with parameters; gRPC-Web is another.
    private static bool IsGrpc(string? type) =>
        type?.StartsWith(GrpcType, StringComparison.OrdinalIgnoreCase) is true && (type.Length == GrpcType.Length || type[GrpcType.Length] is '+' or ';');

    private static string Target(HttpContext context) => context.Features.Get<IHttpRequestFeature>()!.RawTarget;

    // Nothing that would end a line, or begin a field, in an older version of HTTP.
    private static bool IsPlain(string target) => target.StartsWith('/') && target.AsSpan().IndexOfAnyExceptInRange('!', '~') < 0;

    /// <summary>The target is handed on as it came. What the client says of where it came from is replaced by what is known.</summary>
    private sealed class Transformer : HttpTransformer
    {
        public static readonly Transformer Instance = new();

        private static readonly UriCreationOptions AsItIs = new() { DangerousDisablePathAndQueryCanonicalization = true };

        private static readonly string[] Ours = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-IP"];

        public override async ValueTask TransformRequestAsync(HttpContext context, HttpRequestMessage request, string prefix, CancellationToken cancel)
        {
            await base.TransformRequestAsync(context, request, prefix, cancel);
            request.RequestUri = new Uri(string.Concat(prefix.AsSpan(0, prefix.Length - 1), Target(context)), AsItIs);
            foreach (var name in Ours)
                Remove(request, name);
            if (context.Items[GrpcType] is string type && request.Content is { } messages)
            {
                messages.Headers.Remove("Content-Type");
                messages.Headers.TryAddWithoutValidation("Content-Type", type);
            }
            var (from, headers) = (context.Connection.RemoteIpAddress!, request.Headers);
            headers.TryAddWithoutValidation("X-Forwarded-For", (from.IsIPv4MappedToIPv6 ? from.MapToIPv4() : from).ToString());
            headers.TryAddWithoutValidation("X-Forwarded-Proto", "https");
            headers.TryAddWithoutValidation("X-Forwarded-Host", context.Request.Host.Value);
            headers.Host = context.Request.Host.Value;
        }

        private static void Remove(HttpRequestMessage request, string name)
        {
            if (!request.Headers.Remove(name))
                request.Content?.Headers.Remove(name);
        }
    }
}

/// <summary>An answer of the front itself.</summary>
internal static class PlainWords
{
    public static async Task AnswerAsync(HttpContext context, int status, string words)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        await context.Response.WriteAsync(words + "\n");
    }
}
