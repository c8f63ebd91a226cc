using System.Collections.Immutable;
using Grid.Statements;

namespace Grid.Tests;

internal sealed record BadStatement(string Name, string Expect, byte[] Bytes);

/// <summary>What must be refused, and how: each case is one change of a good statement, signed again by the same keys.</summary>
internal static class BadStatements
{
    private const string Malformed = RefusalCode.Malformed;
    private const string TooLarge = RefusalCode.TooLarge;
    private const string Missing = RefusalCode.MissingField;

    private static readonly RawCbor False = new RawBytes([0xf4]);
    private static readonly RawCbor Float = new RawBytes([0xf9, 0x3c, 0x00]);
    private static readonly RawCbor Minus = new RawInteger(1, 0);

    public static IEnumerable<BadStatement> Of(GoodStatement good) =>
        EveryKind(good).Concat(ThisKind(good)).Select(c => new BadStatement($"{good.Name}: {c.Name}", c.Expect, Signed(good, c.Apply)));

    /// <summary>What is wrong with the payload around any body.</summary>
    public static IEnumerable<BadStatement> OfPayloads()
    {
        var good = GoodStatements.All().Single(g => g.Name == "farm.register");
        var whole = (RawMap)RawCbor.Read(good.Payload.Encode());
        (string Name, string Expect, Func<RawMap, RawCbor> Apply)[] cases =
        [
            .. whole.Names.Select(n => ($"without {n}", Missing, (Func<RawMap, RawCbor>)(p => p.Without(n)))),
            ("version 2", RefusalCode.UnknownVersion, Put(RawCbor.UInt(2), "v")),
            ("version 0", RefusalCode.UnknownVersion, Put(RawCbor.UInt(0), "v")),
            ("unknown kind", RefusalCode.UnknownKind, Put(RawCbor.Text("farm.destroy"), "kind")),
            ("kind of another body", RefusalCode.UnknownField, Put(RawCbor.Text("offer.withdraw"), "kind")),
            ("kind too long", TooLarge, Put(RawCbor.Text(new string('k', 41)), "kind")),
            ("unknown field", RefusalCode.UnknownField, p => p.And("nonce", RawCbor.UInt(1))),
            ("unknown field before the first", RefusalCode.UnknownField, p => p.And("a", RawCbor.UInt(1))),
            ("unknown field behind the last", RefusalCode.UnknownField, p => p.And("zzzzzzzzzzzz", RawCbor.UInt(1))),
            ("until equal to issued", Malformed, p => p.With(_ => p["issued"], "until")),
            ("issued after the year 9999", TooLarge, Put(RawCbor.UInt(253_402_300_800), "until")),
            ("issued as text", Malformed, Put(RawCbor.Text("2027-01-15"), "issued")),
            ("issued as an epoch tag", Malformed, p => p.With(v => new RawBytes([0xc1, .. v.Encode()]), "issued")),
            ("issued as a float", Malformed, Put(new RawBytes([0xfb, 0x41, 0xda, 0xd2, 0x74, 0x80, 0, 0, 0]), "issued")),
            ("issued not in its shortest form", Malformed, p => p.With(v => ((RawInteger)v) with { Width = 8 }, "issued")),
            ("by too short", Malformed, Put(RawCbor.Bytes(new byte[31]), "by")),
            ("by too long", Malformed, Put(RawCbor.Bytes(new byte[33]), "by")),
            ("by undefined", Malformed, Put(new RawBytes([0xf7]), "by")),
            ("by as text", Malformed, Put(RawCbor.Text(new string('0', 32)), "by")),
            ("origin empty", Malformed, Put(RawCbor.Text(""), "ledger")),
            ("origin with a space", Malformed, Put(RawCbor.Text("grid.example main"), "ledger")),
            ("origin with a plus", Malformed, Put(RawCbor.Text("grid.example+main"), "ledger")),
            ("origin not ASCII", Malformed, Put(RawCbor.Text("gríd.example"), "ledger")),
            ("origin too long", TooLarge, Put(RawCbor.Text(new string('o', 256)), "ledger")),
            ("body a list", Malformed, Put(RawCbor.List(RawCbor.Text("north-sea-1")), "body")),
            ("body null", Malformed, Put(new RawBytes([0xf6]), "body")),
            ("two fields exchanged", Missing, p => p with { Fields = p.Fields.SetItem(5, p.Fields[6]).SetItem(6, p.Fields[5]) }),
            ("a field twice", Malformed, p => p with { Fields = p.Fields.Insert(3, p.Fields[3]) }),
            ("indefinite length", Malformed, p => p with { Indefinite = true }),
            ("a field too few", Malformed, p => new RawBytes([0xa8, .. p.Encode()[1..]])),
            ("a byte behind it", Malformed, p => new RawBytes([.. p.Encode(), 0])),
            ("cut short", Malformed, p => new RawBytes(p.Encode()[..^1])),
            ("empty", Malformed, _ => new RawBytes([])),
            ("a list", Malformed, p => RawCbor.List(p)),
        ];
        return cases.Select(c => new BadStatement($"payload: {c.Name}", c.Expect, Envelope.Sign(c.Apply(whole).Encode(), [.. good.Signers])));
    }

    /// <summary>What is wrong with the signed envelope.</summary>
    public static IEnumerable<BadStatement> OfEnvelopes()
    {
        var good = GoodStatements.All().Single(g => g.Name == "account.open");
        var envelope = new Envelope(good.Payload.Encode(), good.Signers);
        var bytes = envelope.Encode();
        var other = (good.Payload with { Until = good.Payload.Until.AddSeconds(1) }).Encode();
        var contents = (RawList)envelope.Contents();
        (string Name, string Expect, byte[] Bytes)[] cases =
        [
            ("a byte behind it", Malformed, [.. bytes, 0]),
            ("cut short", Malformed, bytes[..^1]),
            ("empty", Malformed, []),
            ("no tag", Malformed, (envelope with { Tag = [] }).Encode()),
            ("tag of COSE_Sign1", Malformed, (envelope with { Tag = [0xd2] }).Encode()),
            ("tagged twice", Malformed, (envelope with { Tag = [0xd8, 98, 0xd8, 98] }).Encode()),
            ("tag not in its shortest form", Malformed, (envelope with { Tag = [0xd9, 0, 98] }).Encode()),
            ("another content type", Malformed, (envelope with { BodyHeader = Envelope.Header("application/cbor") }).Encode()),
            ("no content type", Malformed, (envelope with { BodyHeader = [] }).Encode()),
            ("a second header", Malformed, (envelope with { BodyHeader = [0xa2, 0x01, 0x27, .. envelope.BodyHeader[1..]] }).Encode()),
            ("an unprotected header", RefusalCode.UnknownField, (envelope with { Unprotected = [0xa1, 0x61, (byte)'x', 0x00] }).Encode()),
            ("an unprotected key id", Malformed, (envelope with { Unprotected = [0xa1, 0x04, 0x41, 0x00] }).Encode()),
            ("payload detached", Malformed, [.. envelope.Tag, .. contents.With(_ => new RawBytes([0xf6]), 2).Encode()]),
            ("payload in pieces", Malformed, [.. envelope.Tag, .. contents.With(p => new RawBytes([0x5f, .. p.Encode(), 0xff]), 2).Encode()]),
            ("three parts", Malformed, [.. envelope.Tag, .. (contents with { Items = contents.Items.RemoveAt(0) }).Encode()]),
            ("five parts", Malformed, [.. envelope.Tag, .. (contents with { Items = contents.Items.Add(False) }).Encode()]),
            ("indefinite length", Malformed, [.. envelope.Tag, .. (contents with { Indefinite = true }).Encode()]),
            ("indefinite signers", Malformed, [.. envelope.Tag, .. contents.With(s => ((RawList)s) with { Indefinite = true }, 3).Encode()]),
            ("no signer", RefusalCode.SignatureMissing, Envelope.Sign(envelope.Payload)),
            ("65 signers", TooLarge, Envelope.Sign(envelope.Payload, [.. Enumerable.Range(0, 65).Select(i => $"signer {i}")])),
            ("signers not sorted", Malformed, (envelope with { KeepOrder = true, Signers = [.. good.Signers.OrderByDescending(s => GoodStatements.Key(s).Public)] }).Encode()),
            ("a signer twice", Malformed, Envelope.Sign(envelope.Payload, "alice", "alice", "bob")),
            ("signature of 63 bytes", Malformed, (envelope with { Signature = s => s[..63] }).Encode()),
            ("signature of 65 bytes", Malformed, (envelope with { Signature = s => [.. s, 0] }).Encode()),
            ("a bit of a signature flipped", RefusalCode.BadSignature, (envelope with { Signature = s => [(byte)(s[0] ^ 1), .. s[1..]] }).Encode()),
            ("signature with S + L", RefusalCode.BadSignature, (envelope with { Signature = Malleated }).Encode()),
            ("signature of another payload", RefusalCode.BadSignature, (envelope with { SignedPayload = other }).Encode()),
            ("signature in another context", RefusalCode.BadSignature, (envelope with { Context = "Signature1" }).Encode()),
            ("signature with external data", RefusalCode.BadSignature, (envelope with { ExternalAad = [0] }).Encode()),
            ("signature under another's key id", RefusalCode.BadSignature, (envelope with { Signers = ["bob"], SignerHeader = _ => Kid("alice") }).Encode()),
            ("key of small order", RefusalCode.BadSignature, (envelope with { Signers = ["bob"], SignerHeader = _ => [.. Kid("bob")[..6], 1, .. new byte[31]], Signature = _ => [1, .. new byte[63]] }).Encode()),
            ("algorithm ES256", Malformed, (envelope with { SignerHeader = k => [0xa2, 0x01, 0x26, .. Kid(k)[3..]] }).Encode()),
            ("no algorithm", Malformed, (envelope with { SignerHeader = k => [0xa1, .. Kid(k)[3..]] }).Encode()),
            ("no key id", Malformed, (envelope with { SignerHeader = _ => [0xa1, 0x01, 0x27] }).Encode()),
            ("key id of 31 bytes", Malformed, (envelope with { SignerHeader = k => [.. Kid(k)[..5], 31, .. Kid(k)[7..]] }).Encode()),
            ("signer header not sorted", Malformed, (envelope with { SignerHeader = k => [0xa2, .. Kid(k)[3..], 0x01, 0x27] }).Encode()),
        ];
        return cases.Select(c => new BadStatement($"envelope: {c.Name}", c.Expect, c.Bytes));
    }

    // Every field, taken away, of the wrong type, of the wrong size; every form that encoding would not produce.
    private static IEnumerable<Change> EveryKind(GoodStatement good) => OfFields(Body(good), Optional(good.Payload.Body.Kind));

    /// <summary>What can be wrong with any map of ours.</summary>
    /// <param name="optional">may be left out</param>
    public static IEnumerable<Change> OfFields(RawMap body, IReadOnlyCollection<string> optional)
    {
        foreach (var name in body.Names)
        {
            if (!optional.Contains(name))
                yield return new($"without {name}", Missing, b => ((RawMap)b).Without(name));
            yield return new($"{name} of the wrong type", Malformed, b => b.With(_ => False, name));
            if (body[name] is RawInteger)
            {
                yield return new($"{name} negative", Malformed, b => b.With(_ => Minus, name));
                yield return new($"{name} a float", Malformed, b => b.With(_ => Float, name));
                yield return new($"{name} not in its shortest form", Malformed, b => b.With(v => ((RawInteger)v) with { Width = 8 }, name));
            }
            if (body[name] is RawString { Major: 2 })
                yield return new($"{name} a byte short", Malformed, b => b.With(v => RawCbor.Bytes(((RawString)v).Value.AsSpan(1)), name));
            if (body[name] is RawString { Major: 3 })
            {
                yield return new($"{name} not UTF-8", Malformed, b => b.With(_ => new RawBytes([0x62, 0xc3, 0x28]), name));
                yield return new($"{name} with its length not in the shortest form", Malformed, b => b.With(v => ((RawString)v) with { Width = 4 }, name));
                yield return new($"{name} in pieces", Malformed, b => b.With(v => new RawBytes([0x7f, .. v.Encode(), 0xff]), name));
            }
            if (body[name] is RawList)
                yield return new($"{name} of indefinite length", Malformed, b => b.With(v => ((RawList)v) with { Indefinite = true }, name));
        }
        yield return new("unknown field", RefusalCode.UnknownField, b => ((RawMap)b).And("zzzzzzzzzzzz", RawCbor.UInt(1)));
        yield return new("unknown field in front", RefusalCode.UnknownField, b => ((RawMap)b).And("a", RawCbor.UInt(1)));
        yield return new("a field twice", Malformed, b => ((RawMap)b) with { Fields = body.Fields.Insert(0, body.Fields[0]) });
        yield return new("indefinite length", Malformed, b => ((RawMap)b) with { Indefinite = true });
        yield return new("number as a key", Malformed, b => ((RawMap)b) with { Fields = body.Fields.SetItem(0, new(RawCbor.UInt(1), body.Fields[0].Value)) });
        if (body.Fields.Count > 1)
            yield return new("fields not sorted", Malformed, b => ((RawMap)b) with { Fields = [.. body.Fields.Reverse()] });
    }

    private static ImmutableArray<string> Optional(string kind) => kind switch
    {
        "node.report" => ["domain"],
        "offer.post" => ["nodes"],
        "agreement" => ["amends"],
        "agreement.cancel" => ["at", "version"],
        _ => [],
    };

    private static IEnumerable<Change> ThisKind(GoodStatement good) => good.Name switch
    {
        "account.open" =>
        [
            new("threshold 0", Malformed, Put(RawCbor.UInt(0), "threshold")),
            new("threshold above the number of keys", Malformed, Put(RawCbor.UInt(4), "threshold")),
            new("threshold 65", TooLarge, Put(RawCbor.UInt(65), "threshold")),
            new("keys not sorted", Malformed, b => b.With(k => Reversed(k), "keys")),
            new("a key twice", Malformed, b => b.With(k => ((RawList)k) with { Items = ((RawList)k).Items.Insert(0, ((RawList)k).Items[0]) }, "keys")),
            new("no keys", Malformed, b => b.With(_ => RawCbor.List(), "keys")),
            new("65 keys", TooLarge, b => b.With(_ => RawCbor.List([.. Enumerable.Range(1, 65).Select(i => RawCbor.Bytes([(byte)i, .. new byte[31]]))]), "keys")),
            new("a key of 20 bytes", Malformed, b => b.With(_ => RawCbor.Bytes(new byte[20]), "keys", 0)),
        ],
        "farm.register" => [new("name too long", TooLarge, Put(RawCbor.Text(new string('n', 41)), "name"))],
        "farm.addresses" =>
        [
            new("addresses not sorted", Malformed, b => b.With(Reversed, "addresses")),
            new("an address twice", Malformed, b => b.With(Doubled, "addresses")),
            new("513 addresses", TooLarge, b => b.With(_ => RawCbor.List([.. Enumerable.Range(0, 513).Select(i => RawCbor.UInt((ulong)i))]), "addresses")),
            new("bits beyond any address", TooLarge, Put(RawCbor.UInt(129), "addresses", 0, "bits")),
            new("address without gateway", Missing, b => b.With(a => ((RawMap)a).Without("gateway"), "addresses", 0)),
            new("gateway of 5 bytes", Malformed, Put(RawCbor.Bytes([203, 0, 113, 1, 0]), "addresses", 0, "gateway")),
        ],
        "agreement with addresses" =>
        [
            .. ((RawMap)((RawList)Body(good)["workloads"]).Items[0]).Names.Select(n => new Change($"address without {n}", Missing, b => b.With(a => ((RawMap)a).Without(n), "workloads", 0))),
            new("no ports", Malformed, Put(RawCbor.List(), "workloads", 0, "ports")),
            new("a port twice", Malformed, b => b.With(Doubled, "workloads", 0, "ports")),
            new("ports not sorted", Malformed, b => b.With(Reversed, "workloads", 0, "ports")),
            new("port 0", Malformed, Put(RawCbor.UInt(0), "workloads", 0, "ports", 0, "port")),
            new("port 65,536", TooLarge, Put(RawCbor.UInt(65_536), "workloads", 0, "ports", 0, "port")),
            new("unknown protocol", Malformed, Put(RawCbor.Text("sctp"), "workloads", 0, "ports", 0, "protocol")),
            new("address with a device", RefusalCode.HostAccess, b => b.With(a => ((RawMap)a).And("device", RawCbor.Text("eth0")), "workloads", 0)),
        ],
        "node.invite" => [new("expires after the year 9999", TooLarge, Put(RawCbor.UInt(253_402_300_800), "expires"))],
        "node.join" =>
        [
            new("hardware without arch", Missing, b => b.With(h => ((RawMap)h).Without("arch"), "hardware")),
            new("kernel too long", TooLarge, Put(RawCbor.Text(new string('k', 129)), "hardware", "kernel")),
        ],
        "node.report" =>
        [
            new("kinds not sorted", Malformed, b => b.With(k => Reversed(k), "kinds")),
            new("17 kinds", TooLarge, b => b.With(_ => RawCbor.List([.. Enumerable.Range('a', 17).Select(i => RawCbor.Text($"{(char)i}"))]), "kinds")),
            new("cpu without bound", TooLarge, Put(RawCbor.UInt(1_000_000_001), "capacity", "cpu")),
            new("memory beyond 64 bits signed", TooLarge, Put(RawCbor.UInt(ulong.MaxValue), "capacity", "memory")),
            new("capacity with an unknown field", RefusalCode.UnknownField, b => b.With(c => ((RawMap)c).And("gpu", RawCbor.UInt(1)), "capacity")),
        ],
        "node.retire" => [new("breach 2", TooLarge, Put(RawCbor.UInt(2), "breach")), new("breach true", Malformed, Put(new RawBytes([0xf5]), "breach"))],
        "offer.post" =>
        [
            new("nodes empty rather than absent", Malformed, b => ((RawMap)b).And("nodes", RawCbor.List())),
            new("currency in small letters", Malformed, Put(RawCbor.Text("eur"), "currency", "code")),
            new("currency of one letter", Malformed, Put(RawCbor.Text("E"), "currency", "code")),
            new("19 decimals", TooLarge, Put(RawCbor.UInt(19), "currency", "decimals")),
            new("price without bound", TooLarge, Put(RawCbor.UInt(1_000_000_000_001), "prices", "memory")),
            new("kinds not sorted", Malformed, b => b.With(k => Reversed(k), "kinds")),
            new("notice of more than a century", TooLarge, Put(RawCbor.UInt(3_155_760_001), "notice")),
        ],
        "offer.post for two nodes" => [new("nodes not sorted", Malformed, b => b.With(k => Reversed(k), "nodes"))],
        "agreement" => Agreement(),
        "agreement amended" =>
        [
            new("without amends", Malformed, b => ((RawMap)b).Without("amends")),
            new("version 1", Malformed, Put(RawCbor.UInt(1), "version")),
            new("version 1,000,001", TooLarge, Put(RawCbor.UInt(1_000_001), "version")),
            new("amends without its digest", Missing, b => b.With(a => ((RawMap)a).Without("digest"), "amends")),
        ],
        "workload.ready with tunnels" =>
        [
            new("a key of 31 bytes", Malformed, Put(RawCbor.Bytes(new byte[31]), "tunnels", 0, "key")),
            new("port 65,536", TooLarge, Put(RawCbor.UInt(65_536), "tunnels", 0, "port")),
            new("tunnels not sorted", Malformed, b => b.With(Reversed, "tunnels")),
            new("a tunnel twice", Malformed, b => b.With(Doubled, "tunnels")),
            new("tunnel without its port", Missing, b => b.With(t => ((RawMap)t).Without("port"), "tunnels", 0)),
            new("underlay not sorted", Malformed, b => b.With(Reversed, "underlay")),
            new("nine underlay addresses", TooLarge, b => b.With(_ => RawCbor.List([.. Enumerable.Range(1, 9).Select(i => RawCbor.Bytes([192, 0, 2, (byte)i]))]), "underlay")),
        ],
        "workload.refused" =>
        [
            new("code too long", TooLarge, Put(RawCbor.Text(new string('c', 65)), "code")),
            new("detail too long", TooLarge, Put(RawCbor.Text(new string('d', 1001)), "detail")),
        ],
        "receipt" =>
        [
            new("to before from", Malformed, b => b.With(_ => ((RawMap)b)["to"], "from").With(_ => ((RawMap)b)["from"], "to")),
            new("unknown state", Malformed, Put(RawCbor.Text("resting"), "workloads", 0, "state")),
            new("exit code 256", TooLarge, Put(RawCbor.UInt(256), "workloads", 0, "exitCode")),
            new("oomKilled 2", TooLarge, Put(RawCbor.UInt(2), "workloads", 0, "oomKilled")),
            new("workloads not sorted", Malformed, b => b.With(k => Reversed(k), "workloads")),
            new("reason too long", TooLarge, Put(RawCbor.Text(new string('r', 501)), "workloads", 0, "reason")),
            new("workload without generation", Missing, b => b.With(w => ((RawMap)w).Without("generation"), "workloads", 0)),
        ],
        _ => [],
    };

    private static IEnumerable<Change> Agreement()
    {
        foreach (var field in new[] { "devices", "hostIpc", "hostPid", "hostPath", "capAdd", "privileged", "hostNetwork", "capabilities", "securityOpt" })
            yield return new($"container with {field}", RefusalCode.HostAccess, b => b.With(c => ((RawMap)c).And(field, new RawBytes([0xf5])), "workloads", 2));
        foreach (var field in new[] { "image", "command", "entrypoint" })
            yield return new($"container with {field}", RefusalCode.UnknownField, b => b.With(c => ((RawMap)c).And(field, RawCbor.Text("x")), "workloads", 2));
        foreach (var field in ((RawMap)((RawList)Body(GoodStatements.All().Single(g => g.Name == "agreement"))["workloads"]).Items[2]).Names)
            yield return new($"container without {field}", Missing, b => b.With(c => ((RawMap)c).Without(field), "workloads", 2));
        foreach (var field in ((RawMap)((RawList)Body(GoodStatements.All().Single(g => g.Name == "agreement"))["workloads"]).Items[1]).Names)
            yield return new($"volume without {field}", Missing, b => b.With(c => ((RawMap)c).Without(field), "workloads", 1));
        foreach (var field in ((RawMap)((RawList)Body(GoodStatements.All().Single(g => g.Name == "agreement"))["workloads"]).Items[0]).Names)
            yield return new($"network without {field}", Missing, b => b.With(c => ((RawMap)c).Without(field), "workloads", 0));
        yield return new("unknown egress", Malformed, Put(RawCbor.Text("wide"), "workloads", 0, "egress"));
        yield return new("network with a bit below its prefix", Malformed, Put(RawCbor.Bytes([10, 1, 0, 1]), "workloads", 0, "cidr", "base"));
        yield return new("network of 33 bits", TooLarge, Put(RawCbor.UInt(33), "workloads", 0, "cidr", "bits"));
        yield return new("network of 5 bytes", Malformed, Put(RawCbor.Bytes([10, 1, 0, 0, 0]), "workloads", 0, "cidr", "base"));
        yield return new("address of 3 bytes", Malformed, Put(RawCbor.Bytes([10, 1, 0]), "workloads", 2, "networks", 0, "address"));
        yield return new("address as text", Malformed, Put(RawCbor.Text("10.1.0.2"), "workloads", 2, "networks", 0, "address"));
        yield return new("a network twice", Malformed, b => b.With(Doubled, "workloads", 2, "networks"));
        yield return new("flist by name", RefusalCode.MutableReference, Put(RawCbor.Text("library/nginx:latest"), "workloads", 2, "flist"));
        yield return new("flist by its id as text", RefusalCode.MutableReference, Put(RawCbor.Text("fl1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqsx5dzp"), "workloads", 2, "flist"));
        yield return new("unknown workload", RefusalCode.UnknownKind, Put(RawCbor.Text("lambda"), "workloads", 2, "kind"));
        yield return new("unknown durability", RefusalCode.UnknownKind, Put(RawCbor.Text("eternal"), "workloads", 1, "durability"));
        yield return new("unknown medium", Malformed, Put(RawCbor.Text("tape"), "workloads", 1, "media"));
        yield return new("unknown restart policy", Malformed, Put(RawCbor.Text("sometimes"), "workloads", 2, "restart", "policy"));
        yield return new("unknown wish for offline", Malformed, Put(RawCbor.Text("panic"), "term", "offline", "then"));
        yield return new("version 1 with amends", Malformed, b => ((RawMap)b).And("amends", Amends));
        yield return new("version 2 without amends", Malformed, Put(RawCbor.UInt(2), "version"));
        yield return new("version 0", Malformed, Put(RawCbor.UInt(0), "version"));
        yield return new("no farms", Malformed, Put(RawCbor.List(), "farms"));
        yield return new("a farm twice", Malformed, b => b.With(Doubled, "farms"));
        yield return new("a farm without nodes", Malformed, Put(RawCbor.List(), "farms", 0, "nodes"));
        yield return new("a node twice", Malformed, b => b.With(Doubled, "farms", 0, "nodes"));
        yield return new("no workloads", Malformed, Put(RawCbor.List(), "workloads"));
        yield return new("workloads not sorted", Malformed, b => b.With(Reversed, "workloads"));
        yield return new("a workload name twice", Malformed, Put(RawCbor.Text("web"), "workloads", 1, "name"));
        yield return new("a part of the price twice", Malformed, b => b.With(Doubled, "money", "parts"));
        // Bytewise, U+E000 stands before U+10000; as UTF-16 it would stand behind it.
        yield return new("scratch sorted as UTF-16", Malformed,
            b => b.With(s => s.With(_ => RawCbor.Text("/\U00010000"), 0, "path").With(_ => RawCbor.Text("/\ue000"), 1, "path"), "workloads", 2, "scratch"));
        yield return new("a scratch path twice", Malformed, b => b.With(Doubled, "workloads", 2, "scratch"));
        yield return new("a mount path twice", Malformed, b => b.With(Doubled, "workloads", 2, "mounts"));
        yield return new("environment not sorted", Malformed, b => b.With(e => ((RawMap)e) with { Fields = [.. ((RawMap)e).Fields.Reverse()] }, "workloads", 2, "env"));
        yield return new("environment value a number", Malformed, Put(RawCbor.UInt(1), "workloads", 2, "env", "TZ"));
        yield return new("argument a number", Malformed, Put(RawCbor.UInt(1), "workloads", 2, "args", 0));
        yield return new("user id 65,535", TooLarge, Put(RawCbor.UInt(65_535), "workloads", 2, "user", "uid"));
        yield return new("32,769 processes", TooLarge, Put(RawCbor.UInt(32_769), "workloads", 2, "pids"));
        yield return new("entry too long", TooLarge, Put(RawCbor.Text("/" + new string('e', 4095)), "workloads", 2, "entry"));
        yield return new("note too long", TooLarge, Put(RawCbor.Text(new string('n', 1001)), "note"));
        yield return new("rate negative", Malformed, Put(Minus, "money", "ratePerSecond"));
        yield return new("rate beyond 64 bits", Malformed, Put(new RawBytes([0xc2, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0]), "money", "ratePerSecond"));
        yield return new("term with an unknown field", RefusalCode.UnknownField, b => b.With(t => ((RawMap)t).And("renew", RawCbor.UInt(1)), "term"));
    }

    private static RawCbor Amends => new RawMap([]).And("digest", RawCbor.Bytes(new byte[32])).And("agreement", RawCbor.Bytes(new byte[32]));

    internal sealed record Change(string Name, string Expect, Func<RawCbor, RawCbor> Apply);

    private static RawMap Body(GoodStatement good) => (RawMap)((RawMap)RawCbor.Read(good.Payload.Encode()))["body"];

    private static byte[] Signed(GoodStatement good, Func<RawCbor, RawCbor> change) =>
        Envelope.Sign(RawCbor.Read(good.Payload.Encode()).With(change, "body").Encode(), [.. good.Signers]);

    private static Func<RawCbor, RawCbor> Put(RawCbor value, params object[] path) => root => root.With(_ => value, path);

    private static RawCbor Reversed(RawCbor list) => ((RawList)list) with { Items = [.. ((RawList)list).Items.Reverse()] };

    private static RawCbor Doubled(RawCbor list) => ((RawList)list) with { Items = ((RawList)list).Items.Insert(0, ((RawList)list).Items[0]) };

    private static byte[] Kid(string name) => Kid(GoodStatements.Key(name));

    private static byte[] Kid(SigningKey key) => [0xa2, 0x01, 0x27, 0x04, 0x58, 0x20, .. key.Public.Value.ToArray()];

    // The same signature to a verifier that does not look at S ≥ L: L = 2²⁵² + 27742317777372353535851937790883648493.
    private static byte[] Malleated(byte[] signature)
    {
        var order = System.Numerics.BigInteger.Pow(2, 252) + System.Numerics.BigInteger.Parse("27742317777372353535851937790883648493", null);
        var s = new System.Numerics.BigInteger(signature.AsSpan(32), isUnsigned: true) + order;
        return [.. signature[..32], .. s.ToByteArray(isUnsigned: true).Concat(new byte[32]).Take(32)];
    }
}
