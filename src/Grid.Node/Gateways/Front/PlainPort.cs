using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;

namespace Grid.Node.Gateways.Front;

/// <summary>The http port: challenges (RFC 8555 §8.3) are answered, everybody else is sent to https.</summary>
internal sealed class PlainPort(RouteTable routes, int httpsPort)
{
    private const string Challenges = "/.well-known/acme-challenge/";
    private const int DefaultPort = 443;

    public Task AnswerAsync(HttpContext context)
    {
        var request = context.Request;
        if (routes.Find(request.Host.Host.ToLowerInvariant()) is not { } route)
            return PlainWords.AnswerAsync(context, StatusCodes.Status404NotFound, "Nothing here has this name.");
        if (HttpMethods.IsGet(request.Method) && request.Path.Value is { } path && path.StartsWith(Challenges, StringComparison.Ordinal) && routes.Challenge(route, path[Challenges.Length..]) is { } answer)
            return context.Response.WriteAsync(answer);
        var host = httpsPort == DefaultPort ? new HostString(route.Route.Hostname) : new HostString(route.Route.Hostname, httpsPort);
        context.Response.StatusCode = StatusCodes.Status308PermanentRedirect;
        context.Response.Headers.Location = UriHelper.BuildAbsolute("https", host, request.PathBase, request.Path, request.QueryString);
        return Task.CompletedTask;
    }
}
