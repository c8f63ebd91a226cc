using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
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
    public const string Usage = """
        [--gateway-http ADDRESS:PORT --gateway-https ADDRESS:PORT --acme URL
                   [--acme-root FILE] [--gateway-domain NAME] [--dns ADDRESS:PORT]]
        """;

    public const string Explained = """
          --gateway-http PLACE  ADDRESS:PORT where the world comes in by http; with --gateway-https
                                and --acme, or not at all (default: the node has no gateways)
          --gateway-https PLACE ADDRESS:PORT where it comes in by TLS (default: as --gateway-http)
          --acme URL            the directory of the authority that signs certificates, RFC 8555
                                (default: as --gateway-http)
          --acme-root FILE      the root that it is trusted by, in PEM (default: the machine's)
          --gateway-domain NAME the domain under which names are given; *.NAME must lead here
                                (default: none, and every name is proven by DNS)
          --dns PLACE           ADDRESS:PORT of who is asked whether a name is a user's
                                (default: whom the machine asks)
        """;

    public static readonly ImmutableArray<string> Names = ["--gateway-http", "--gateway-https", "--acme", "--acme-root", "--gateway-domain", "--dns"];

    /// <returns>null when none of them is given, or when one is wrong, which is added to the errors</returns>
    public static GatewayOptions? Parse(Func<string, string?> one, ICollection<Refusal> errors)
    {
        if (Names.All(n => one(n) is null))
            return null;
        var before = errors.Count;
        void Wrong(string detail, string next) => errors.Add(new Refusal(NodeCode.Usage, detail, next));
        IPEndPoint? EndPoint(string name, string what)
        {
            if (one(name) is not { } text)
                return null;
            // As it is written back: "80" is an address too, to whoever reads it as one.
            if (IPEndPoint.TryParse(text, out var parsed) && parsed.Port > 0 && parsed.ToString() == text)
                return parsed;
            Wrong($"{name} '{text}' is not an address with a port: {what}", "Write it as 192.0.2.7:443 or [2001:db8::7]:443.");
            return null;
        }
        foreach (var name in (ReadOnlySpan<string>)["--gateway-http", "--gateway-https", "--acme"])
        {
            if (one(name) is null)
                Wrong($"{name} is missing: gateways need a way in by http, one by https, and an authority that signs certificates.", "Give all three, or none of the gateways' options.");
        }
        var (http, https) = (EndPoint("--gateway-http", "the world comes in there."), EndPoint("--gateway-https", "the world comes in there."));
        if (http is not null && http.Equals(https))
            Wrong($"--gateway-http and --gateway-https are both {http}: one place cannot speak both.", "Give them different ports.");
        var dns = EndPoint("--dns", "a name server is asked there whether a name is a user's.");
        if (one("--acme") is { } directory && !(Uri.TryCreate(directory, UriKind.Absolute, out var parsed) && parsed.Scheme is "https"))
            Wrong($"--acme '{directory}' is not the https address of an ACME directory: what signs certificates is asked by https only.", "Write it as https://authority.example/directory.");
        if (one("--gateway-domain") is { } domain && !Hostname.IsValid(domain))
            Wrong($"--gateway-domain '{domain}' is not a domain under which names could be given.", "Write it in lower case, as gw.example.org.");
        if (one("--acme-root") is { } root && !IsCertificate(root))
            Wrong($"--acme-root '{root}' is not a file with a certificate in PEM: the authority could not be trusted.", "Name such a file, or leave the option out and trust what the machine does.");
        return errors.Count > before ? null : new GatewayOptions(http!, https!, one("--gateway-domain"), new Uri(one("--acme")!), one("--acme-root") is { } path ? Path.GetFullPath(path) : null, dns);
    }

    private static bool IsCertificate(string path)
    {
        try
        {
            var roots = new X509Certificate2Collection();
            roots.ImportFromPemFile(path);
            return roots.Count > 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            return false;
        }
    }

    public ImmutableArray<string> ToArguments() =>
    [
        "--gateway-http", $"{Http}", "--gateway-https", $"{Https}", "--acme", Acme.AbsoluteUri,
        .. AcmeRoot is null ? [] : (string[])["--acme-root", AcmeRoot], .. Domain is null ? [] : (string[])["--gateway-domain", Domain], .. Dns is null ? [] : (string[])["--dns", $"{Dns}"],
    ];
}
