using System.Collections.Immutable;
using Grid.Agreements;
using Grid.Node.Agent;
using Grid.Node.Networks;
using Grid.Reconciliation;
using Grid.Units;

namespace Grid.Node.Tests.Agent;

public sealed class MeterTests
{
    private static readonly AgreementId Agreement = new(Digest.Of("agreement"u8));
    private static readonly WorkloadKey Web = new(Agreement, "web"), Data = new(Agreement, "data");

    private readonly Time _time = new();
    private Counters? _counters = Of(cpu: 5_000, mib: 64, sent: 700, received: 900);

    [Fact]
    public void What_was_used_before_the_first_look_is_not_counted()
    {
        var meter = Looked();
        Assert.Equal(Consumption.None, meter.Since(Web));
        Pass(10, Of(cpu: 5_250, mib: 32, sent: 1_000, received: 900), meter);
        Assert.Equal(new Consumption(250, 640, Bytes.Zero, new Bytes(300), Bytes.Zero), meter.Since(Web));
    }

    [Fact]
    public void Nothing_is_lost_or_doubled_between_receipts_however_small_it_is()
    {
        var meter = Looked();
        var (sum, random) = (Consumption.None, new Random(7));
        var (cpu, memory) = (5_000.0, 0.0);
        for (var i = 0; i < 2_000; i++)
        {
            var held = _counters!.Memory;
            var passed = random.Next(1, 3_000) / 1000.0;
            memory += held.Value / 1048576.0 * passed;
            cpu += random.NextDouble() * 3;
            Pass(passed, Of(cpu, random.Next(1, 5), 700, 900), meter);
            if (random.Next(3) == 0)
            {
                sum = sum.Then(meter.Since(Web));
                meter.Begin(Agreement);
            }
        }
        sum = sum.Then(meter.Since(Web));
        Assert.InRange(sum.CpuMillis, cpu - 5_000 - 2, cpu - 5_000 + 1);
        Assert.InRange(sum.MemoryMibSeconds, memory - 2, memory + 1);
    }

    [Fact]
    public void A_counter_that_began_anew_counts_from_nothing()
    {
        var meter = Looked();
        Pass(1, Of(cpu: 40, mib: 1, sent: 60, received: 70), meter);
        Assert.Equal(new Consumption(40, 64, Bytes.Zero, new Bytes(60), new Bytes(70)), meter.Since(Web));
    }

    [Fact]
    public void Of_two_links_one_that_is_made_anew_leaves_the_count_of_the_other()
    {
        _counters = Of(new("gc1", new(700), new(900)), new("gc2", new(1_000_000), new(2_000_000)));
        var meter = Looked();
        Pass(1, Of(new("gc1", new(60), new(70)), new("gc2", new(1_000_005), new(2_000_006))), meter);
        Assert.Equal((new Bytes(65), new Bytes(76)), (meter.Since(Web).Sent, meter.Since(Web).Received));
        // The same when it is not there for a while, and when none can be read.
        Pass(1, Of(new LinkTraffic("gc2", new(1_000_005), new(2_000_006))), meter);
        Pass(1, new Counters(TimeSpan.Zero, Bytes.Zero, null), meter);
        Pass(1, Of(new("gc1", new(10), new(20)), new("gc2", new(1_000_006), new(2_000_008))), meter);
        Assert.Equal((new Bytes(76), new Bytes(98)), (meter.Since(Web).Sent, meter.Since(Web).Received));
    }

    [Fact]
    public void A_link_is_counted_from_the_first_look_at_it_or_from_its_beginning_if_that_was_seen()
    {
        _counters = new Counters(TimeSpan.Zero, Bytes.Zero, null);
        var meter = Looked();
        Pass(1, Of(new LinkTraffic("gc1", new(700), new(900))), meter);
        Assert.Equal((Bytes.Zero, Bytes.Zero), (meter.Since(Web).Sent, meter.Since(Web).Received));
        Pass(1, Of(new("gc1", new(700), new(901)), new("gc2", new(40), new(50))), meter);
        Assert.Equal((new Bytes(40), new Bytes(51)), (meter.Since(Web).Sent, meter.Since(Web).Received));
    }

    [Fact]
    public void A_gateway_counts_from_its_beginning_and_on_through_receipts()
    {
        _counters = Of();
        var meter = Looked(Door);
        Pass(1, Of(new LinkTraffic("front", new(10), new(20))), meter, Door);
        Assert.Equal((new Bytes(10), new Bytes(20)), (meter.Since(Web).Sent, meter.Since(Web).Received));
        meter.Begin(Agreement);
        Pass(1, Of(new LinkTraffic("front", new(15), new(20))), meter, Door);
        Assert.Equal((new Bytes(5), Bytes.Zero), (meter.Since(Web).Sent, meter.Since(Web).Received));
    }

    [Fact]
    public void A_volume_counts_what_it_holds_for_as_long_as_it_is_there()
    {
        var meter = Looked();
        Assert.Equal(Bytes.GiB(3), meter.Since(Data).Disk);
        meter.Begin(Agreement);
        meter.Look(Observed.Nothing);
        Assert.Equal(Bytes.Zero, meter.Since(Data).Disk);
    }

    [Fact]
    public void What_was_away_held_nothing_meanwhile()
    {
        var meter = Looked();
        Pass(10, _counters!, meter, Observed.Nothing);
        Pass(864_000, Of(cpu: 5_100, mib: 64, sent: 700, received: 900), meter);
        Assert.Equal((100, 0), (meter.Since(Web).CpuMillis, meter.Since(Web).MemoryMibSeconds));
        Pass(10, _counters!, meter);
        Assert.Equal(640, meter.Since(Web).MemoryMibSeconds);
    }

    private Meter Looked(Observed? seen = null)
    {
        var meter = new Meter(k => k == Web ? _counters : null, _time);
        meter.Look(seen ?? Seen);
        return meter;
    }

    private static Observed Door => Observed.Nothing with { Gateways = Observed.Nothing.Gateways.Add(Web, new Sighting<GatewaySeen>.Present(new GatewaySeen(null, true, true, null))) };

    private static Observed Seen => Observed.Nothing with
    {
        Containers = Observed.Nothing.Containers.Add(Web, new Sighting<ContainerSeen>.Present(new ContainerSeen(default, default, 1, ContainerPhase.Running))),
        Volumes = Observed.Nothing.Volumes.Add(Data, new Sighting<VolumeSeen>.Present(new VolumeSeen(Bytes.GiB(3), true, null, TimeSpan.Zero))),
    };

    private void Pass(double seconds, Counters counters, Meter meter, Observed? seen = null)
    {
        _time.Pass(TimeSpan.FromSeconds(seconds));
        _counters = counters;
        meter.Look(seen ?? Seen);
    }

    private static Counters Of(double cpu, long mib, long sent, long received) => new(TimeSpan.FromMilliseconds(cpu), Bytes.MiB(mib), [new("gc1", new Bytes(sent), new Bytes(received))]);

    private static Counters Of(params ImmutableArray<LinkTraffic> links) => new(TimeSpan.Zero, Bytes.Zero, links);

    private sealed class Time : TimeProvider
    {
        private TimeSpan _passed;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _passed.Ticks;

        public void Pass(TimeSpan time) => _passed += time;
    }
}
