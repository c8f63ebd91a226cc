using System.Collections.Immutable;
using System.Net;
using Grid.Gateways;

namespace Grid.Node.Gateways;

/// <summary>What a node is told that has a way in from the world. The same text form goes to its front.</summary>
/// <param name="Http">where challenges are answered and everybody else is sent to <paramref name="Https"/></param>
/// <param name="Domain">under which the farmer gives names; null: none</param>
/// <param name="Acme">the directory (RFC 8555 §7.1.1) of who signs certificates</param>
/// <param name="AcmeRoot">PEM file of the root that the directory is trusted by; null: the machine's</param>
/// <param name="Dns">who is asked for TXT records; null: whom the machine asks</param>
public sealed record GatewayOptions(IPEndPoint Http, IPEndPoint Https, string? Domain, Uri Acme, string? AcmeRoot, IPEndPoint? Dns)
{
    public const string Usage = "[--gateway-http ADDRESS:PORT --gateway-https ADDRESS:PORT --acme URL [--acme-root FILE] [--gateway-domain NAME] [--dns ADDRESS:PORT]]";

    public static readonly ImmutableArray<string> Names = ["--gateway-http", "--gateway-https", "--acme", "--acme-root", "--gateway-domain", "--dns"];

    /// <returns>null when none of them is given, or when one is wrong, which is added to the errors</returns>
    public static GatewayOptions? Parse(Func<string, string?> one, ICollection<string> errors)
    {
        if (Names.All(n => one(n) is null))
            return null;
        var before = errors.Count;
        IPEndPoint? EndPoint(string name, bool required)
        {
            var text = one(name);
            if (text is not null && IPEndPoint.TryParse(text, out var parsed) && parsed.Port > 0)
                return parsed;
            if (text is not null || required)
                errors.Add(text is null ? $"{name} is missing: a gateway needs it." : $"{name} '{text}' is not an address with a port.");
            return null;
        }
        var (http, https, dns) = (EndPoint("--gateway-http", required: true), EndPoint("--gateway-https", required: true), EndPoint("--dns", required: false));
        if (!Uri.TryCreate(one("--acme"), UriKind.Absolute, out var acme) || acme.Scheme is not "https")
            errors.Add($"--acme '{one("--acme")}' is not the https address of an ACME directory.");
        if (one("--gateway-domain") is { } domain && !Hostname.IsValid(domain))
            errors.Add($"--gateway-domain '{domain}' is not a domain.");
        if (one("--acme-root") is { } root && !File.Exists(root))
            errors.Add($"--acme-root '{root}' is not a file.");
        return errors.Count > before ? null : new GatewayOptions(http!, https!, one("--gateway-domain"), acme!, one("--acme-root") is { } path ? Path.GetFullPath(path) : null, dns);
    }

    public ImmutableArray<string> ToArguments() =>
    [
        "--gateway-http", $"{Http}", "--gateway-https", $"{Https}", "--acme", Acme.AbsoluteUri,
        .. AcmeRoot is null ? [] : (string[])["--acme-root", AcmeRoot], .. Domain is null ? [] : (string[])["--gateway-domain", Domain], .. Dns is null ? [] : (string[])["--dns", $"{Dns}"],
    ];
}
