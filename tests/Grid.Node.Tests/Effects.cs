using System.Diagnostics;
using Grid.Node.Containers;

namespace Grid.Node.Tests;

/// <summary>
/// Effects tried again, as an agent does. What is just being started elsewhere in this process holds copies of what was open here until it is executed, on a
/// busy machine for longer than an effect waits; and what a killed agent was about to execute shows itself when it pleases.
/// </summary>
internal static class Effects
{
    public static async Task DoneAsync(Func<Task<Outcome>> effect) => Assert.Equal(new Outcome.Done(), await SettledAsync(effect, o => o is not Outcome.Transient));

    /// <returns>the first outcome that is <paramref name="settled"/>, or the last of half a minute</returns>
    public static async Task<T> SettledAsync<T>(Func<Task<T>> effect, Func<T, bool> settled)
    {
        for (var clock = Stopwatch.StartNew(); ;)
        {
            if (await effect() is var outcome && (settled(outcome) || clock.Elapsed > TimeSpan.FromSeconds(30)))
                return outcome;
        }
    }
}
