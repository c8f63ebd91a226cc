namespace Grid.Units;

/// <summary>An amount of memory or storage in bytes, never negative.</summary>
public readonly record struct Bytes(long Value) : IComparable<Bytes>
{
    public static readonly Bytes Zero = new(0);

    public static Bytes KiB(long count) => new(checked(count << 10));

    public static Bytes MiB(long count) => new(checked(count * (1L << 20)));

    public static Bytes GiB(long count) => new(checked(count * (1L << 30)));

    public int CompareTo(Bytes other) => Value.CompareTo(other.Value);

    public static Bytes operator +(Bytes left, Bytes right) => new(checked(left.Value + right.Value));

    public static Bytes operator -(Bytes left, Bytes right) => new(checked(left.Value - right.Value));

    public static bool operator <(Bytes left, Bytes right) => left.Value < right.Value;

    public static bool operator >(Bytes left, Bytes right) => left.Value > right.Value;

    public static bool operator <=(Bytes left, Bytes right) => left.Value <= right.Value;

    public static bool operator >=(Bytes left, Bytes right) => left.Value >= right.Value;

    /// <summary>The largest binary unit that divides the amount exactly: 512MiB, 1GiB, 1000B.</summary>
    public override string ToString() => Value switch
    {
        0 => "0B",
        _ when Value % (1L << 40) == 0 => $"{Value >> 40}TiB",
        _ when Value % (1L << 30) == 0 => $"{Value >> 30}GiB",
        _ when Value % (1L << 20) == 0 => $"{Value >> 20}MiB",
        _ when Value % (1L << 10) == 0 => $"{Value >> 10}KiB",
        _ => $"{Value}B",
    };
}

/// <summary>
/// Processor time per time in thousandths of one hardware thread: 1500 is one and a half.
/// </summary>
public readonly record struct MilliCores(long Value)
{
    public override string ToString() => $"{Value}m";
}

/// <summary>
/// An amount in the smallest unit of one currency. Arithmetic is checked; products are formed in 128 bits and rounded once, down.
/// </summary>
public readonly record struct Money(Int128 Units)
{
    public static readonly Money Zero = new(0);

    public static Money operator +(Money left, Money right) => new(checked(left.Units + right.Units));

    public static Money operator *(Money rate, long seconds) => new(checked(rate.Units * seconds));

    public override string ToString() => Units.ToString();
}

/// <summary>What a node has or a workload takes: the capacity vector of agreement.md. Every part is at least zero.</summary>
public readonly record struct Capacity(MilliCores Cpu, Bytes Memory, Bytes Ssd, Bytes Hdd, int PublicIPv4)
{
    public static readonly Capacity None;

    public static Capacity operator +(Capacity left, Capacity right) => new(
        new MilliCores(checked(left.Cpu.Value + right.Cpu.Value)), left.Memory + right.Memory,
        left.Ssd + right.Ssd, left.Hdd + right.Hdd, checked(left.PublicIPv4 + right.PublicIPv4));

    public static Capacity operator -(Capacity left, Capacity right) => new(
        new MilliCores(checked(left.Cpu.Value - right.Cpu.Value)), left.Memory - right.Memory,
        left.Ssd - right.Ssd, left.Hdd - right.Hdd, checked(left.PublicIPv4 - right.PublicIPv4));

    /// <summary>The larger of both in each part: what must be held while either of two versions may be in force.</summary>
    public static Capacity Max(Capacity left, Capacity right) => new(
        new MilliCores(long.Max(left.Cpu.Value, right.Cpu.Value)), new Bytes(long.Max(left.Memory.Value, right.Memory.Value)),
        new Bytes(long.Max(left.Ssd.Value, right.Ssd.Value)), new Bytes(long.Max(left.Hdd.Value, right.Hdd.Value)),
        int.Max(left.PublicIPv4, right.PublicIPv4));

    /// <summary>True when every part of this fits into the same part of the other.</summary>
    public bool FitsIn(Capacity other) =>
        Cpu.Value <= other.Cpu.Value && Memory <= other.Memory && Ssd <= other.Ssd && Hdd <= other.Hdd && PublicIPv4 <= other.PublicIPv4;

    /// <summary>How much there is of each part above the same part of the other.</summary>
    public Capacity Beyond(Capacity other) => Max(this, other) - other;

    public bool IsNegative => Cpu.Value < 0 || Memory.Value < 0 || Ssd.Value < 0 || Hdd.Value < 0 || PublicIPv4 < 0;

    public override string ToString() => $"cpu {Cpu}, memory {Memory}, ssd {Ssd}, hdd {Hdd}, ipv4 {PublicIPv4}";
}
