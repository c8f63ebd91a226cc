using Grid.Statements;
using Grid.Units;

namespace Grid.Agreements;

/// <summary>
/// What a workload used in an interval, as its node's kernel counted it. What was not counted, memory held while no agent looked say, is not in it.
/// <code>consumption = { "cpu": uint, "disk": bytes, "sent": bytes, "memory": uint, "received": bytes }</code>
/// </summary>
/// <param name="CpuMillis">processor time, in milliseconds</param>
/// <param name="MemoryMibSeconds">memory held, summed over time, in MiB times seconds</param>
/// <param name="Disk">held on a data disk at the end of the interval</param>
/// <param name="Sent">to the world outside its private networks; of a gateway, to its clients, as handed to TCP: TLS is in it, retransmissions are not</param>
/// <param name="Received">from there</param>
public readonly record struct Consumption(long CpuMillis, long MemoryMibSeconds, Bytes Disk, Bytes Sent, Bytes Received)
{
    public static readonly Consumption None;

    /// <summary>Of two intervals, the second after the first: what is held is held at the end. A node may say anything: sums stop at the largest.</summary>
    public Consumption Then(Consumption later) => new(
        Sum(CpuMillis, later.CpuMillis), Sum(MemoryMibSeconds, later.MemoryMibSeconds), later.Disk,
        new Bytes(Sum(Sent.Value, later.Sent.Value)), new Bytes(Sum(Received.Value, later.Received.Value)));

    private static long Sum(long a, long b) => a > long.MaxValue - b ? long.MaxValue : a + b;

    internal void Write(CanonicalWriter w)
    {
        var used = this;
        w.Map(5, m =>
        {
            m.Key("cpu").UInt(used.CpuMillis);
            m.Key("disk").UInt(used.Disk.Value);
            m.Key("sent").UInt(used.Sent.Value);
            m.Key("memory").UInt(used.MemoryMibSeconds);
            m.Key("received").UInt(used.Received.Value);
        });
    }

    internal static Consumption Read(CanonicalReader r) => r.Map(m =>
    {
        var cpu = m.Field("cpu").UInt();
        var disk = new Bytes(m.Field("disk").UInt());
        var sent = new Bytes(m.Field("sent").UInt());
        var memory = m.Field("memory").UInt();
        return new Consumption(cpu, memory, disk, sent, new Bytes(m.Field("received").UInt()));
    });
}
