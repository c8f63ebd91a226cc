using System.Net;
using Grid.Gateways;
using Grid.Node.Containers;
using Grid.Node.Gateways;
using Grid.Node.Gateways.Acme;
using Grid.Node.Gateways.Front;
using Grid.Node.Tests.Networks;
using Grid.Units;

namespace Grid.Node.Tests.Gateways;

public sealed class CertificateKeeperTests : IDisposable
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromHours(1);

    private readonly string _root = Directory.CreateTempSubdirectory("grid-keeper-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    /// <summary>Found as a certificate that was not renewed in time: an order that ended was looked at too early, and then not for six hours.</summary>
    [Fact]
    public async Task After_every_failure_it_sleeps_for_the_wait_of_that_failure_and_no_longer()
    {
        var clock = new AskedClock();
        var files = new GatewayFiles(_root, _root);
        files.Make();
        var self = Processes.Identify(Environment.ProcessId)!.Value;
        var log = new FrontLog(files.Log, clock);
        files.Write(
            new ContainerId(new AgreementId(Digest.Of("one"u8)), "door"),
            new WrittenRoute(new Route("shop.example", Tls.Terminate, new IPEndPoint(IPAddress.Loopback, 80)), self));
        using var routes = new RouteTable(files, self, log);
        routes.Load();
        // Nobody listens there.
        var options = new GatewayOptions(new(IPAddress.Loopback, 1), new(IPAddress.Loopback, 2), null, new Uri("https://127.0.0.1:1/"), null, null);
        using var keeper = new CertificateKeeper(options, files, routes, log, clock);
        using var stop = new CancellationTokenSource();
        var running = keeper.RunAsync(stop.Token);

        var wait = TimeSpan.FromSeconds(5);
        for (var failure = 1; failure <= 300; failure++)
        {
            Wait.For(() => clock.Asked == wait, $"sleep of {wait} after failure {failure}, but one of {clock.Asked}");
            clock.Pass();
            wait = wait * 2 < LongestWait ? wait * 2 : LongestWait;
        }

        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    /// <summary>Stands still until it is told to pass what was asked for last.</summary>
    private sealed class AskedClock : TimeProvider
    {
        private readonly Lock _one = new();
        private DateTimeOffset _now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
        private Sleep? _last;

        private sealed record Sleep(TimeSpan Due, Action Ring);

        public TimeSpan? Asked
        {
            get
            {
                lock (_one)
                    return _last?.Due;
            }
        }

        public override DateTimeOffset GetUtcNow()
        {
            lock (_one)
                return _now;
        }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var sleep = new Sleep(dueTime, () => callback(state));
            lock (_one)
                _last = sleep;
            return new Timer(() =>
            {
                lock (_one)
                    _last = _last == sleep ? null : _last;
            });
        }

        public void Pass()
        {
            Sleep passed;
            lock (_one)
            {
                (passed, _last) = (_last!, null);
                _now += passed.Due;
            }
            passed.Ring();
        }

        private sealed class Timer(Action end) : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => false;

            public void Dispose() => end();

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }
}
