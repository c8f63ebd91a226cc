using Grid.Units;

namespace Grid.Statements;

/// <summary><code>capacity = { "cpu": millicores, "hdd": bytes, "ssd": bytes, "ipv4": count, "memory": bytes }</code></summary>
internal static class CapacityFields
{
    public static void Write(CanonicalWriter w, Capacity value) => w.Map(5, m =>
    {
        m.Key("cpu").UInt(value.Cpu.Value);
        m.Key("hdd").UInt(value.Hdd.Value);
        m.Key("ssd").UInt(value.Ssd.Value);
        m.Key("ipv4").UInt(value.PublicIPv4);
        m.Key("memory").UInt(value.Memory.Value);
    });

    public static Capacity Read(CanonicalReader r) => r.Map(m =>
    {
        // A quintillion of anything cannot overflow a sum of a thousand workloads.
        const long Limit = 1_000_000_000_000_000;
        var cpu = new MilliCores(m.Field("cpu").UInt(1_000_000_000));
        var hdd = new Bytes(m.Field("hdd").UInt(Limit));
        var ssd = new Bytes(m.Field("ssd").UInt(Limit));
        var ipv4 = (int)m.Field("ipv4").UInt(65_536);
        return new Capacity(cpu, new Bytes(m.Field("memory").UInt(Limit)), ssd, hdd, ipv4);
    });
}
