using Grid.Statements;
using Grid.Units;

namespace Grid.Offers;

/// <summary>Prices per second in the smallest unit of the offer's currency.</summary>
/// <param name="Cpu">per millicore</param>
/// <param name="Memory">per GiB</param>
/// <param name="Ssd">per GiB</param>
/// <param name="Hdd">per GiB</param>
/// <param name="PublicIPv4">per address</param>
public sealed record Prices(long Cpu, long Memory, long Ssd, long Hdd, long PublicIPv4)
{
    /// <summary>
    /// The rate per second for so much capacity: formed in 128 bits, rounded once, down. Two parties who compute it get the same number.
    /// </summary>
    public Money Rate(Capacity use)
    {
        const int GiB = 30;
        var fractions = checked(
            ((Int128)Memory * use.Memory.Value) + ((Int128)Ssd * use.Ssd.Value) + ((Int128)Hdd * use.Hdd.Value)
            + ((((Int128)Cpu * use.Cpu.Value) + ((Int128)PublicIPv4 * use.PublicIPv4)) << GiB));
        return new Money(fractions >> GiB);
    }

    internal void Write(CanonicalWriter w) => w.Map(5, m =>
    {
        m.Key("cpu").UInt(Cpu);
        m.Key("hdd").UInt(Hdd);
        m.Key("ssd").UInt(Ssd);
        m.Key("ipv4").UInt(PublicIPv4);
        m.Key("memory").UInt(Memory);
    });

    internal static Prices Read(CanonicalReader r) => r.Map(m =>
    {
        const long Limit = 1_000_000_000_000;
        var cpu = m.Field("cpu").UInt(Limit);
        var hdd = m.Field("hdd").UInt(Limit);
        var ssd = m.Field("ssd").UInt(Limit);
        var ipv4 = m.Field("ipv4").UInt(Limit);
        return new Prices(cpu, m.Field("memory").UInt(Limit), ssd, hdd, ipv4);
    });
}
