using System.Globalization;
using FsCheck;
using FsCheck.Fluent;

namespace Grid.Tests;

/// <summary>Checks a property on seeded cases, so that a failure today is a failure tomorrow. It names its seed; GRID_SEED=n runs all laws from another.</summary>
internal static class Law
{
    private static readonly ulong Seed = ulong.TryParse(Environment.GetEnvironmentVariable("GRID_SEED"), CultureInfo.InvariantCulture, out var given) ? given : 0x6772_6964;

    public static void Holds<T>(Gen<T> cases, Func<T, bool> law, int count = 300) => Check.One(Seeded(count), Prop.ForAll(Arb.From(cases), law));

    /// <summary>A case that breaks the law is shrunk.</summary>
    /// <param name="size">of the largest cases</param>
    public static void Holds<T>(Arbitrary<T> cases, Action<T> law, int count, int size) => Check.One(Seeded(count).WithEndSize(size), Prop.ForAll(cases, law));

    // Gamma is odd by the generator's definition.
    private static Config Seeded(int count) => Config.QuickThrowOnFailure.WithName($"GRID_SEED={Seed}").WithReplay(Seed, 1).WithMaxTest(count).WithQuietOnSuccess(true);
}
