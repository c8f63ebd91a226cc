using System.Net;
using Grid.Hub.Tests;
using Grid.Node.Gateways;
using Grid.Node.Gateways.Front;

namespace Grid.Node.Tests.Agent;

/// <summary>What a farmer may get wrong on the command line is told at once, all of it: what it is, why it cannot be, what to write instead.</summary>
public sealed class NodeOptionsTests
{
    private static readonly string[] Right = ["--ledger", "http://127.0.0.1:1", "--origin", "grid.test/main", "--ledger-key", SigningKeyText(), "--hub", "http://127.0.0.1:2"];

    private static readonly string[] Doors = ["--gateway-http", "192.0.2.7:80", "--gateway-https", "192.0.2.7:443", "--acme", "https://authority.example/directory"];

    [Fact]
    public void What_is_right_is_read_as_it_was_meant()
    {
        var options = NodeOptions.Parse([.. Right, .. Doors, "--gateway-domain", "gw.example.org", "--dns", "[2001:db8::53]:53", "--public", "eth0.7", "--public-ipv4", "65536"], out var wrong);
        Assert.Empty(wrong);
        Assert.Equal((new IPEndPoint(IPAddress.Parse("192.0.2.7"), 443), "gw.example.org", "eth0.7", 65_536), (options!.Gateways!.Https, options.Gateways.Domain, options.Public, options.PublicIPv4));
        Assert.Equal(IPEndPoint.Parse("[2001:db8::53]:53"), options.Gateways.Dns);
        // And by the front, to which the agent hands it on.
        var handed = options.Gateways.ToArguments();
        Assert.Equal(options.Gateways, GatewayOptions.Parse(n => handed.IndexOf(n) is >= 0 and var at ? handed[at + 1] : null, []));
        Assert.Null(NodeOptions.Parse(Right, out wrong)!.Gateways);
        Assert.Empty(wrong);
    }

    [Fact]
    public void Help_tells_every_option_and_what_holds_without_it()
    {
        var without = NodeOptions.Parse(Right, out _)!;
        var defaults = HelpText.Check(NodeOptions.Usage, NodeOptions.Names);

        Assert.Equal(["--data", "--run", "--cgroup", "--public-ipv4"], defaults.Select(d => d.Name));
        // How many addresses is told with a wire only.
        Assert.All(defaults.SkipLast(1), d => Assert.Equal(without with { Hubs = [] }, NodeOptions.Parse([.. Right, d.Name, d.Value], out _)! with { Hubs = [] }));
        Assert.Equal($"{without.PublicIPv4}", defaults[^1].Value);
        // Each is read: it changes something, or what it is given is refused for what it is.
        Assert.All(NodeOptions.Names, n =>
        {
            var with = NodeOptions.Parse([.. Right, n, "7"], out var wrong);
            Assert.True(with is null ? wrong.All(w => !w.Detail.Contains("is not an option", StringComparison.Ordinal)) : with with { Hubs = [] } != without with { Hubs = [] });
        });
        HelpText.Check(ClearProgram.Usage, ["--data", "--run", "--cgroup"]);
        HelpText.Check(FrontProgram.Usage, ["--data", "--run", .. GatewayOptions.Names]);
    }

    [Theory]
    [InlineData("--gateway-http", "192.0.2.7", "is not an address with a port: the world comes in there. Write it as 192.0.2.7:443")]
    [InlineData("--gateway-http", "80", "is not an address with a port")]
    [InlineData("--gateway-http", "192.0.2.7:0", "is not an address with a port")]
    [InlineData("--gateway-http", "192.0.2.7:65536", "is not an address with a port")]
    [InlineData("--gateway-http", "host.example:80", "is not an address with a port")]
    [InlineData("--gateway-http", "", "is not an address with a port")]
    [InlineData("--gateway-http", "192.0.2.7:443", "are both 192.0.2.7:443: one place cannot speak both. Give them different ports.")]
    [InlineData("--gateway-https", "2001:db8::7", "is not an address with a port")]
    [InlineData("--acme", "http://authority.example/directory", "what signs certificates is asked by https only. Write it as https://")]
    [InlineData("--acme", "authority.example", "is not the https address of an ACME directory")]
    [InlineData("--acme-root", "/nowhere.pem", "is not a file with a certificate in PEM: the authority could not be trusted. Name such a file, or leave the option out")]
    [InlineData("--acme-root", "/proc/self/status", "is not a file with a certificate in PEM")]
    [InlineData("--acme-root", "/proc", "is not a file with a certificate in PEM")]
    [InlineData("--gateway-domain", "GW.example.org", "is not a domain under which names could be given. Write it in lower case, as gw.example.org.")]
    [InlineData("--gateway-domain", "-.example", "is not a domain")]
    [InlineData("--gateway-domain", "*.gw.example", "is not a domain")]
    [InlineData("--dns", "192.0.2.53", "is not an address with a port: a name server is asked there whether a name is a user's.")]
    public void What_is_wrong_with_the_gateways_is_said(string name, string value, string said) =>
        Says([.. Doors.Chunk(2).Where(d => d[0] != name).SelectMany(d => d), name, value], name, said);

    [Theory]
    [InlineData("--gateway-http")]
    [InlineData("--gateway-https")]
    [InlineData("--acme")]
    public void Half_a_way_in_is_none(string missing) =>
        Says([.. Doors.Chunk(2).Where(d => d[0] != missing).SelectMany(d => d)], missing, "is missing: gateways need a way in by http, one by https, and an authority that signs certificates. Give all three, or none");

    [Theory]
    [InlineData("", "is not the name of an interface: addresses are bound on the farm's public wire. Name one that 'ip link' lists.")]
    [InlineData("..", "is not the name of an interface")]
    [InlineData("eth0/../all", "is not the name of an interface")]
    [InlineData("eth0 up", "is not the name of an interface")]
    [InlineData("sixteen-letters-", "is not the name of an interface")]
    public void What_is_no_interface_is_said(string name, string said) => Says(["--public", name], "--public", said);

    [Theory]
    [InlineData("0", "is not a whole number above zero")]
    [InlineData("-1", "is not a whole number above zero")]
    [InlineData("many", "is not a whole number above zero")]
    [InlineData("99999999999999999999", "is not a whole number above zero")]
    [InlineData("65537", "is more than 65536: no farm has as many on one wire. Give how many agreements may bind here.")]
    public void What_is_no_number_of_addresses_is_said(string count, string said) => Says(["--public", "eth0", "--public-ipv4", count], "--public-ipv4", said);

    [Fact]
    public void Addresses_want_a_wire() => Says(["--public-ipv4", "4"], "--public-ipv4", "is given without --public: there is no wire to bind addresses on. Give both, or neither.");

    [Theory]
    [InlineData("--data", "", "wants a value")]
    [InlineData("--run", "", "wants a value")]
    [InlineData("--invite", "", "wants a value")]
    public void What_is_empty_is_no_place(string name, string value, string said) => Says([name, value], name, said);

    [Theory]
    [InlineData("two words")]
    [InlineData("a+b")]
    public void What_no_ledger_is_called_is_said(string origin)
    {
        Assert.Null(NodeOptions.Parse([.. Right.Select(r => r == "grid.test/main" ? origin : r)], out var wrong));
        Assert.Contains($"--origin '{origin}' is not the name of a ledger", Assert.Single(wrong).Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void All_that_is_wrong_is_said_at_once()
    {
        Assert.Null(NodeOptions.Parse(["--gateway-http", "x", "--dns", "y", "--public", "", "--what", "z"], out var wrong));
        foreach (var about in new[] { "--gateway-http 'x'", "--gateway-https is missing", "--acme is missing", "--dns 'y'", "--public ''", "'--what'", "--ledger is missing", "--origin is missing", "--ledger-key is missing", "--hub is missing" })
            Assert.Single(wrong, w => w.Detail.StartsWith(about, StringComparison.Ordinal));
        Assert.Equal(10, wrong.Length);
        Assert.All(wrong, w => Assert.Equal(("usage", true), (w.Code, w.Next?.Length > 0)));
    }

    private static void Says(string[] more, string name, string said)
    {
        Assert.Null(NodeOptions.Parse([.. Right, .. more], out var wrong));
        var refusal = Assert.Single(wrong);
        var one = $"{refusal.Detail} {refusal.Next}";
        Assert.StartsWith("--", one, StringComparison.Ordinal);
        Assert.Contains(name, one, StringComparison.Ordinal);
        Assert.Contains(said, one, StringComparison.Ordinal);
    }

    private static string SigningKeyText()
    {
        using var key = Statements.SigningKey.FromSeed(new byte[32]);
        return key.Public.ToString();
    }
}
