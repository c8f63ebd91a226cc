using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grid.Node.Tests.Gateways;

/// <summary>What a gateway leads to: a server of this process, on a socket of a namespace elsewhere.</summary>
internal static class Upstream
{
    /// <param name="inside">makes a socket in that namespace</param>
    /// <param name="certificate">null: it speaks without TLS</param>
    public static async Task<WebApplication> StartAsync(IPEndPoint at, Func<Func<Socket>, Socket> inside, RequestDelegate answer, HttpProtocols protocols, X509Certificate2? certificate)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().UseSockets(o => o.CreateBoundListenSocket = _ => inside(() =>
        {
            var socket = new Socket(at.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(at);
            return socket;
        })).ConfigureKestrel(k =>
        {
            // Who is too slow is the front's to say.
            (k.Limits.MinRequestBodyDataRate, k.Limits.MinResponseDataRate) = (null, null);
            k.Listen(at, l =>
            {
                l.Protocols = protocols;
                if (certificate is not null)
                    l.UseHttps(certificate);
            });
        });
        var app = builder.Build();
        app.UseWebSockets();
        app.Run(answer);
        await app.StartAsync();
        return app;
    }

    /// <summary>Gives back what comes as a WebSocket or in the shape of gRPC: each message when it is sent, the outcome in a trailer.</summary>
    /// <returns>false when it is neither</returns>
    public static async Task<bool> EchoesAsync(HttpContext context)
    {
        var (request, response) = (context.Request, context.Response);
        if (context.WebSockets.IsWebSocketRequest)
        {
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            var buffer = new byte[4096];
            for (var got = await socket.ReceiveAsync(buffer, default); got.MessageType is not WebSocketMessageType.Close; got = await socket.ReceiveAsync(buffer, default))
                await socket.SendAsync(buffer.AsMemory(0, got.Count), got.MessageType, got.EndOfMessage, default);
            await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", default);
            return true;
        }
        if (request.ContentType?.StartsWith("application/grpc", StringComparison.Ordinal) != true)
            return false;
        response.ContentType = request.ContentType;
        response.DeclareTrailer("grpc-status");
        await response.StartAsync();
        await request.Body.CopyToAsync(response.Body);
        response.AppendTrailer("grpc-status", "0");
        return true;
    }

    /// <summary>A certificate that nobody trusts but who is shown it before.</summary>
    public static X509Certificate2 SelfSigned(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}
