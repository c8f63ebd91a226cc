using System.Collections.Immutable;
using System.Net;
using Grid.Accounts;
using Grid.Addresses;
using Grid.Agreements;
using Grid.Farms;
using Grid.Gateways;
using Grid.Log;
using Grid.Machines;
using Grid.Networks;
using Grid.Nodes;
using Grid.Offers;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests;

/// <summary>Any body that can be written, out to the limits: not one that a ledger would accept.</summary>
internal sealed class AnyBody(Random random)
{
    private const string Letters = "abcxyz-_/.0189 éß→𝛑\ue000";

    public Body Of(string kind) => kind switch
    {
        OpenLedger.Name => new OpenLedger(Key()),
        OpenAccount.Name => new OpenAccount(Policy()),
        RekeyAccount.Name => new RekeyAccount(Policy()),
        RegisterFarm.Name => new RegisterFarm(Text(40)),
        ListAddresses.Name => new ListAddresses(Id<FarmId>(), Some(random.Next(4) == 0 ? 512 : 4, () => new FarmAddress(Address(), random.Next(129), Address()), (a, b) => string.CompareOrdinal(Rank(a.Address), Rank(b.Address)))),
        InviteNode.Name => new InviteNode(Id<FarmId>(), Key(), Time()),
        JoinNode.Name => new JoinNode(Id<FarmId>(), Id<StatementId>(), Key(), Hardware()),
        ReportNode.Name => new ReportNode(Capacity(), Capacity(), Texts(16, 32), Hardware()) { Domain = Flag() ? null : Text(253) },
        RetireNode.Name => new RetireNode(Id<NodeId>(), Flag()),
        DrainNode.Name => Flag() ? new DrainNode(Id<NodeId>(), true, Text(DrainNode.LongestReason)) : new DrainNode(Id<NodeId>(), false, ""),
        PostOffer.Name => new PostOffer(Id<FarmId>(), Flag() ? [] : Ids<NodeId>(1000), Texts(16, 32), Prices(), Currency(), Capacity(), Span(), Time()),
        WithdrawOffer.Name => new WithdrawOffer(Id<OfferId>()),
        AgreementTerms.Name => Agreement(),
        WorkloadReady.Name => new WorkloadReady(Id<AgreementId>(), Id<StatementId>(), Ends()),
        WorkloadRefused.Name => new WorkloadRefused(Id<AgreementId>(), Id<StatementId>(), Text(64), Text(1000)),
        Agreements.Receipt.Name => Report(),
        CancelAgreement.Name => new CancelAgreement(Id<AgreementId>(), Flag() ? null : Time(), Flag() ? null : Id<StatementId>()),
        DeadlinePassed.Name => new DeadlinePassed(Id<AgreementId>(), Time()),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "This kind has no random body yet."),
    };

    public Payload Payload(string kind)
    {
        var issued = Number(253_402_300_798);
        return new Payload(
            new string('o', 1 + random.Next(255)), Flag() ? null : Digest(), DateTimeOffset.FromUnixTimeSeconds(issued),
            DateTimeOffset.FromUnixTimeSeconds(issued + 1 + Number(253_402_300_798 - issued)), Of(kind));
    }

    private AgreementTerms Agreement()
    {
        var version = Flag() ? 1 : 2 + (int)Number(999_998);
        var farms = Ids<FarmId>(64).Select(f => new FarmPart(f, Id<OfferId>(), Ids<NodeId>(20))).ToImmutableArray();
        return new AgreementTerms(
            version, version == 1 ? null : new Amends(Id<AgreementId>(), Id<StatementId>()), Id<AccountId>(), farms,
            new Term(Flag() ? null : Time(), Flag() ? null : Time(), Span(), Time(), Time(), new Offline(Span(), Flag())),
            new MoneyTerms(Currency(), new Money(Number(long.MaxValue)), [.. farms.Select(f => new FarmRate(f.Farm, new Money(Number(long.MaxValue))))], Span()),
            [.. Some(8, () => Text(36), CanonicalReader.Order).Select(AnyWorkload)], Text(1000));
    }

    private Workload AnyWorkload(string name) => random.Next(6) switch
    {
        0 => Container(name),
        1 => Volume(name),
        2 => Gateway(name),
        3 => Machine(name),
        4 => new PublicAddress(name, Id<NodeId>(), Address(), Some(64, () => new Port(Flag() ? Transport.Tcp : Transport.Udp, 1 + random.Next(65_535)), (a, b) => a.CompareTo(b)), Text(64)),
        _ => new Network(name, Cidr(), Flag() ? Egress.Nat : Egress.None),
    };

    private IPNetwork Cidr()
    {
        var address = Address().GetAddressBytes();
        var bits = random.Next(address.Length * 8 + 1);
        for (var bit = bits; bit < address.Length * 8; bit++)
            address[bit / 8] &= (byte)~(0x80 >> (bit % 8));
        return new IPNetwork(new IPAddress(address), bits);
    }

    private IPAddress Address()
    {
        var bytes = new byte[Flag() ? 4 : 16];
        random.NextBytes(bytes);
        return new IPAddress(bytes);
    }

    // IPv4 first.
    private static string Rank(IPAddress address) => $"{address.GetAddressBytes().Length:d2}{Convert.ToHexString(address.GetAddressBytes())}";

    private TunnelEnds Ends() => new(
        [.. Enumerable.Range(0, random.Next(9)).Select(_ => Address()).OrderBy(a => a.GetAddressBytes().Length).ThenBy(a => Convert.ToHexString(a.GetAddressBytes()), StringComparer.Ordinal)],
        Some(10, () => new Membership(Text(64), Text(64)), (a, b) => a.CompareTo(b)).Select(m => new TunnelEnd(m, new TunnelKey(Digest()), random.Next(65_536))).ToImmutableArray());

    private Volume Volume(string name) => new(name, Id<NodeId>(), Size(), Flag() ? Media.Ssd : Media.Hdd, Span(), Flag() ? VolumeForm.Files : VolumeForm.Disk);

    private Machine Machine(string name) => new(
        name, Id<NodeId>(), Id<FlistId>(), Text(4095), Text(4095), Text(4096), new MilliCores(Number(1_000_000_000)), Size(), [.. Texts(16, 64).Select(s => new MachineDisk(s, Text(64)))],
        new RestartPolicy((RestartWhen)random.Next(3), Span(), Span()), Size(), Secrets(), [.. Texts(5, 64).Select(n => new NetworkAddress(n, Address()))]);

    private Gateway Gateway(string name) => new(
        name, Id<NodeId>(), Text(253), Flag() ? Tls.Terminate : Tls.Passthrough, Flag() ? DomainProof.Domain : DomainProof.Dns, new Backend(Text(64), 1 + random.Next(65_535)),
        [.. Texts(3, 64).Select(n => new NetworkAddress(n, Address()))]);

    private Container Container(string name) => new(
        name, Id<NodeId>(), Id<FlistId>(), Text(4095), [.. Enumerable.Range(0, random.Next(6)).Select(_ => Text(300))],
        [.. Texts(6, 200).OrderBy(t => System.Text.Encoding.UTF8.GetByteCount(t)).Select(t => new KeyValuePair<string, string>(t, Text(300)))],
        Text(4095), new ContainerUser(random.Next(65_535), random.Next(65_535)), new MilliCores(Number(1_000_000_000)), Size(), random.Next(32_769),
        [.. Texts(5, 100).Select(p => new VolumeMount(p, Text(64)))], [.. Texts(5, 100).Select(p => new Scratch(p, Size()))],
        new RestartPolicy((RestartWhen)random.Next(3), Span(), Span()), Size(), Secrets(),
        [.. Texts(5, 64).Select(n => new NetworkAddress(n, Address()))])
    {
        Health = Flag() ? new Health(Flag() ? Text(1024) : null, 1 + random.Next(65_535), Span(), Span(), 1 + random.Next(Health.MaximumFailures)) : null,
    };

    private ImmutableArray<Secret> Secrets() => [.. Texts(3, 200).Select(t =>
    {
        var bytes = new byte[random.Next(300)];
        random.NextBytes(bytes);
        return new Secret(t, bytes);
    })];

    private Receipt Report()
    {
        var from = Number(253_402_300_799);
        return new Receipt(
            Id<AgreementId>(), Id<StatementId>(), DateTimeOffset.FromUnixTimeSeconds(from), DateTimeOffset.FromUnixTimeSeconds(from + Number(253_402_300_799 - from)),
            [
                .. Texts(20, 64).Select(n => new WorkloadReport(
                    n, (WorkloadState)random.Next(5), Flag() ? null : Text(500), Number(long.MaxValue), Number(long.MaxValue),
                    new Consumption(Number(long.MaxValue), Number(long.MaxValue), Size(), Size(), Size()),
                    Flag() ? null : random.Next(256), Flag(), Flag() ? null : Digest())),
            ]);
    }

    private KeyPolicy Policy()
    {
        var keys = Ids<PublicKey>(64);
        return new KeyPolicy(keys, 1 + random.Next(keys.Length));
    }

    private Hardware Hardware() => new(Text(128), Text(128), Text(128));

    private Capacity Capacity() => new(new MilliCores(Number(1_000_000_000)), Size(), Size(), Size(), random.Next(65_537));

    private Prices Prices() => new(Number(1_000_000_000_000), Number(1_000_000_000_000), Number(1_000_000_000_000), Number(1_000_000_000_000), Number(1_000_000_000_000));

    private Currency Currency() => new(new string('X', 2 + random.Next(15)), random.Next(19));

    private Bytes Size() => new(Number(1_000_000_000_000_000));

    private TimeSpan Span() => TimeSpan.FromSeconds(Number(3_155_760_000));

    private DateTimeOffset Time() => DateTimeOffset.FromUnixTimeSeconds(Number(253_402_300_799));

    private bool Flag() => random.Next(2) == 0;

    // Near the lengths at which CBOR's heads grow as often as anywhere else.
    private long Number(long maximum) => long.Min(maximum, random.Next(7) switch
    {
        0 => 23 + random.Next(2),
        1 => 255 + random.Next(2),
        2 => 65_535 + random.Next(2),
        3 => uint.MaxValue + (long)random.Next(2),
        4 => maximum,
        5 => random.Next(24),
        _ => random.NextInt64(long.Max(1, maximum)),
    });

    private string Text(int maximumBytes)
    {
        var (text, room) = (new System.Text.StringBuilder(), random.Next(1 + (random.Next(4) == 0 ? maximumBytes : int.Min(maximumBytes, 24))));
        while (true)
        {
            var rune = Letters.EnumerateRunes().ElementAt(random.Next(Letters.EnumerateRunes().Count()));
            if ((room -= rune.Utf8SequenceLength) < 0)
                return text.ToString();
            text.Append(rune);
        }
    }

    private Digest Digest()
    {
        var bytes = new byte[Units.Digest.Size];
        random.NextBytes(bytes);
        return new Digest(bytes);
    }

    private PublicKey Key() => Id<PublicKey>();

    private T Id<T>() where T : struct, IId<T> => T.From(Digest());

    private ImmutableArray<T> Ids<T>(int most) where T : struct, IId<T> => Some(most, Id<T>, (a, b) => a.Value.CompareTo(b.Value));

    private ImmutableArray<string> Texts(int most, int maximumBytes) => random.Next(4) == 0 ? [] : Some(most, () => Text(maximumBytes), CanonicalReader.Order);

    private ImmutableArray<T> Some<T>(int most, Func<T> make, Comparison<T> order) =>
        [.. new SortedSet<T>(Enumerable.Range(0, 1 + random.Next(random.Next(5) == 0 ? most : int.Min(most, 3))).Select(_ => make()), Comparer<T>.Create(order))];
}
