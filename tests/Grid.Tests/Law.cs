using FsCheck;
using FsCheck.Fluent;

namespace Grid.Tests;

/// <summary>Checks a property on seeded cases, so that a failure today is a failure tomorrow.</summary>
internal static class Law
{
    public static void Holds<T>(Gen<T> cases, Func<T, bool> law, int count = 300) => Check.One(
        Config.QuickThrowOnFailure.WithReplay(0x6772_6964, 1).WithMaxTest(count).WithQuietOnSuccess(true),
        Prop.ForAll(Arb.From(cases), law));
}
