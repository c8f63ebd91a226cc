using System.Collections.Concurrent;
using System.Text;
using Grid.Node.Agent;
using Grid.Node.Tests.Machines;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Agent;

public sealed class SingleFlightTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly ConcurrentQueue<(Step Step, Exception Thrown)> _failed = new();
    private readonly SemaphoreSlim _landed = new(0);
    private readonly SingleFlight _flights;

    public SingleFlightTests() => _flights = new SingleFlight((s, e) => _failed.Enqueue((s, e)), () => _landed.Release());

    public void Dispose()
    {
        _flights.Dispose();
        _landed.Dispose();
    }

    [Fact]
    public async Task Two_effects_on_one_thing_never_overlap()
    {
        var (now, overlaps, begun) = (new int[5], 0, 0);
        // From every side, and each for a while, so that the next comes while it lasts.
        await Parallel.ForAsync(0, 2_000, Cancel, (i, _) =>
        {
            var thing = i % now.Length;
            if (_flights.TryBegin(Stop(thing), async () =>
            {
                if (Interlocked.Increment(ref now[thing]) > 1)
                    Interlocked.Increment(ref overlaps);
                await Task.Yield();
                Interlocked.Decrement(ref now[thing]);
            }, Cancel))
                Interlocked.Increment(ref begun);
            return ValueTask.CompletedTask;
        });
        await LandedAsync(begun);
        Assert.Equal(0, overlaps);
        Assert.InRange(begun, now.Length, 2_000);
    }

    [Fact]
    public async Task What_comes_while_another_lasts_is_not_begun_and_may_come_again()
    {
        var held = new TaskCompletionSource();
        Assert.True(_flights.TryBegin(Stop(0), () => held.Task, Cancel));
        // Another act on the same workload is on the same thing; what it is, is no matter.
        Assert.False(_flights.TryBegin(new Step.Remove(Key(0)), Unreachable, Cancel));
        Assert.Equal(new HashSet<object> { Key(0) }, _flights.Moving);
        held.SetResult();
        await LandedAsync(1);
        Assert.Empty(_flights.Moving);
        Assert.True(_flights.TryBegin(new Step.Remove(Key(0)), () => Task.CompletedTask, Cancel));
        await LandedAsync(1);
    }

    public static TheoryData<string, int> Kinds() => new()
    {
        { "mounts", SingleFlight.Mounts }, { "machines", SingleFlight.Machines }, { "runs", SingleFlight.Runs }, { "endings", SingleFlight.Endings }, { "stops", SingleFlight.Stops },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task No_more_of_a_kind_are_under_way_than_it_has_places(string kind, int places)
    {
        var (now, most, all) = (0, 0, 3 * places);
        using var gate = new SemaphoreSlim(0);
        using var began = new SemaphoreSlim(0);
        for (var i = 0; i < all; i++)
        {
            Assert.True(_flights.TryBegin(Of(kind, i), async () =>
            {
                InterlockedMax(ref most, Interlocked.Increment(ref now));
                began.Release();
                await gate.WaitAsync(Cancel);
                Interlocked.Decrement(ref now);
            }, Cancel));
        }
        // Each that goes lets just one in.
        for (var i = 0; i < all; i++)
        {
            Assert.True(await began.WaitAsync(Patience, Cancel), $"{i} of {all} began");
            if (i >= places - 1)
                gate.Release();
        }
        gate.Release(places - 1);
        await LandedAsync(all);
        Assert.Equal(places, most);
    }

    [Fact]
    public async Task What_is_slow_holds_up_no_other_thing()
    {
        var slow = new TaskCompletionSource();
        for (var i = 0; i < 2 * SingleFlight.Mounts; i++)
            _flights.TryBegin(Mount(i), () => slow.Task, Cancel);
        for (var i = 0; i < SingleFlight.Runs - 1; i++)
            _flights.TryBegin(Run(i), () => slow.Task, Cancel);
        // Though every download hangs, and all starts but one.
        for (var i = 100; i < 120; i++)
        {
            Assert.True(_flights.TryBegin(Run(i), () => Task.CompletedTask, Cancel));
            Assert.True(_flights.TryBegin(Stop(i + 100), () => Task.CompletedTask, Cancel));
        }
        await LandedAsync(40);
        Assert.Equal((2 * SingleFlight.Mounts) + SingleFlight.Runs - 1, _flights.Moving.Count);
        slow.SetResult();
        await _flights.Landed.WaitAsync(Patience, Cancel);
        Assert.Empty(_flights.Moving);
    }

    [Fact]
    public async Task However_much_is_being_made_an_ending_begins_at_once()
    {
        var slow = new TaskCompletionSource();
        for (var i = 0; i < 100; i++)
        {
            Assert.True(_flights.TryBegin(Mount(i), () => slow.Task, Cancel));
            Assert.True(_flights.TryBegin(Run(i), () => slow.Task, Cancel));
            Assert.True(_flights.TryBegin(Boot(100 + i), () => slow.Task, Cancel));
        }
        Step[] endings =
        [
            new Step.Stop(Key(200)), new Step.Remove(Key(201)), new Step.Pause(Key(202)), new Step.Resume(Key(203)), new Step.DetachVolume(Key(204)), new Step.DestroyVolume(Key(205)), new Step.CloseGateway(Key(206)),
            new Step.ReleaseAddress(Key(207)), new Step.UnmountFlist(Mount(208).Flist),
        ];
        foreach (var ending in endings)
            Assert.True(_flights.TryBegin(ending, () => Task.CompletedTask, Cancel));
        await LandedAsync(endings.Length);
        slow.SetResult();
        await _flights.Landed.WaitAsync(Patience, Cancel);
    }

    [Fact]
    public async Task However_many_machines_wait_for_their_roots_a_container_starts()
    {
        var slow = new TaskCompletionSource();
        for (var i = 0; i < 100; i++)
            Assert.True(_flights.TryBegin(Boot(i), () => slow.Task, Cancel));
        Assert.True(_flights.TryBegin(Run(100), () => Task.CompletedTask, Cancel));
        await LandedAsync(1);
        slow.SetResult();
        await _flights.Landed.WaitAsync(Patience, Cancel);
    }

    [Fact]
    public async Task One_that_fails_is_told_and_frees_its_place_and_its_thing()
    {
        Func<Task>[] failing =
        [
            () => throw new IOException("at once"), () => Task.FromException(new UnauthorizedAccessException("late")),
            () => throw new InvalidOperationException("a defect"), () => Task.FromCanceled(new CancellationToken(canceled: true)),
        ];
        // Often enough to take every place, were they not given back; on one thing, one after the other.
        for (var i = 0; i < 4 * SingleFlight.Runs; i++)
        {
            Assert.True(_flights.TryBegin(Run(0), failing[i % failing.Length], Cancel), $"{i}");
            await LandedAsync(1);
        }
        Assert.True(_flights.TryBegin(Run(0), () => Task.CompletedTask, Cancel));
        await LandedAsync(1);
        Assert.Equal(4 * SingleFlight.Runs, _failed.Count);
        Assert.All(_failed, f => Assert.Equal(Run(0), f.Step));
        Assert.Equal([typeof(IOException), typeof(UnauthorizedAccessException), typeof(InvalidOperationException), typeof(TaskCanceledException)], _failed.Take(4).Select(f => f.Thrown.GetType()));
    }

    [Fact]
    public async Task An_agent_that_stops_begins_nothing_of_what_waits()
    {
        using var stopping = new CancellationTokenSource();
        for (var i = 0; i < SingleFlight.Runs; i++)
            _flights.TryBegin(Run(i), () => Task.Delay(Timeout.InfiniteTimeSpan, stopping.Token), stopping.Token);
        for (var i = 0; i < SingleFlight.Runs; i++)
            _flights.TryBegin(Run(100 + i), Unreachable, stopping.Token);
        await stopping.CancelAsync();
        await _flights.Landed.WaitAsync(Patience, Cancel);
        Assert.Empty(_failed);
        Assert.Empty(_flights.Moving);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static Task Unreachable() => throw new InvalidOperationException("It was not to begin.");

    private static WorkloadKey Key(int i) => new(new AgreementId(Digest.Of("agreement"u8)), $"web-{i}");

    private static Step.Stop Stop(int i) => new(Key(i));

    private static Step.MakeVolume Run(int i) => new(new Wish(Key(i), default, new Volume($"web-{i}", default, Volume.Smallest, Media.Ssd, TimeSpan.Zero), Paused: false));

    private static Step.Start Boot(int i) => new(new Wish(Key(i), default, EmulatorTests.Machine, Paused: false), 1);

    private static Step.Remove End(int i) => new(Key(i));

    private static Step.MountFlist Mount(int i) => new(new FlistId(Digest.Of(Encoding.UTF8.GetBytes($"{i}"))));

    private static Step Of(string kind, int i) => kind switch { "mounts" => Mount(i), "machines" => Boot(i), "runs" => Run(i), "endings" => End(i), _ => Stop(i) };

    private async Task LandedAsync(int count)
    {
        for (var i = 0; i < count; i++)
            Assert.True(await _landed.WaitAsync(Patience, Cancel), $"{i} of {count} landed");
    }

    private static void InterlockedMax(ref int most, int now)
    {
        for (var seen = Volatile.Read(ref most); now > seen && Interlocked.CompareExchange(ref most, now, seen) is var was && was != seen; seen = was)
        {
        }
    }
}
