using System.Collections.Immutable;
using Grid.Node.Agent;
using Grid.Nodes;
using Grid.Reconciliation;
using Grid.Statements;
using Grid.Units;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Node.Tests.Agent;

public sealed class DrainTests : IDisposable
{
    private const string Origin = "grid.test/main";

    private static readonly NodeId Node = new(Digest.Of("node"u8));
    private static readonly WorkloadKey Data = new(new AgreementId(Digest.Of("agreement"u8)), "data");
    private static readonly Observed Errs = Seeing("it is read-only now"), Well = Seeing(null);

    private readonly SigningKey _key = SigningKey.FromSeed(new byte[32]);
    private readonly HearingLedger _ledger = new(Origin);
    private readonly string _directory = Directory.CreateTempSubdirectory("grid-drain-").FullName;

    public void Dispose()
    {
        _ledger.Dispose();
        _key.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task What_a_look_finds_is_said_once_and_taken_back_when_it_is_gone()
    {
        var drain = Start();
        drain.Note(Errs, Still);
        Assert.Equal(Says($"the volume {Data}: it is read-only now"), await SaidAsync(drain));
        Assert.Null(await SaidAsync(drain));
        drain.Note(Well, Still);
        Assert.Equal(Says(null), await SaidAsync(drain));
        Assert.Null(await SaidAsync(drain));
    }

    [Fact]
    public async Task What_moves_is_not_judged_and_what_was_tried_is_broken_until_it_works()
    {
        var drain = Start();
        drain.Note(Errs, new HashSet<object> { Data });
        Assert.Null(await SaidAsync(drain));
        drain.Note(Data, "an I/O error");
        drain.Note("another", "is broken too");
        Assert.Equal(Says("an I/O error"), await SaidAsync(drain));
        drain.Note(Data, null);
        Assert.Equal(Says("is broken too"), await SaidAsync(drain));
        drain.Note("another", null);
        Assert.Equal(Says(null), await SaidAsync(drain));
    }

    [Fact]
    public async Task The_next_agent_takes_it_back_when_something_worked_or_nothing_is_to_be_done()
    {
        foreach (var find in (Action<Drain>[])[d => d.Note("anything", null), d => d.Rest()])
        {
            var drain = Start();
            drain.Note(Data, "an I/O error");
            Assert.Equal(Says("an I/O error"), await SaidAsync(drain));

            // It has looked, and knows nothing of what was tried before it.
            drain = Start();
            drain.Note(Well, Still);
            Assert.Null(await SaidAsync(drain));
            find(drain);
            Assert.Equal(Says(null), await SaidAsync(drain));
            Assert.Null(await SaidAsync(Start()));
        }
    }

    [Fact]
    public async Task A_disk_that_errs_is_said_whether_or_not_something_lies_on_it()
    {
        var drain = Start();
        drain.Note(Observed.Nothing with { DiskFault = "the data disk /data: I/O error" }, Still);
        drain.Rest();
        Assert.Equal(Says("the data disk /data: I/O error"), await SaidAsync(drain));
        drain.Note(Observed.Nothing, Still);
        Assert.Equal(Says(null), await SaidAsync(drain));
    }

    [Fact]
    public async Task What_nobody_wants_any_more_holds_nothing_up_and_a_disk_that_still_errs_does()
    {
        var drain = Start();
        drain.Note(Data, "an I/O error");
        drain.Note(Errs, Still);
        Assert.Equal(Says("an I/O error"), await SaidAsync(drain));
        drain.Rest();
        Assert.Equal(Says($"the volume {Data}: it is read-only now"), await SaidAsync(drain));
        drain.Note(Observed.Nothing, Still);
        Assert.Equal(Says(null), await SaidAsync(drain));
    }

    private static ImmutableHashSet<object> Still => [];

    private static Observed Seeing(string? fault) => Observed.Nothing with
    {
        Volumes = Observed.Nothing.Volumes.Add(Data, new Sighting<VolumeSeen>.Present(new VolumeSeen(Bytes.GiB(1), true, null, TimeSpan.Zero) { Fault = fault })),
    };

    private static DrainNode Says(string? why) => new(Node, why is not null, why ?? "");

    private Drain Start() => new(Path.Combine(_directory, "drained"), _ledger.Client, new NodeVoice(_key, Node, Origin, TimeProvider.System), NullLogger.Instance);

    /// <returns>null when nothing was said</returns>
    private async Task<Body?> SaidAsync(Drain drain)
    {
        _ledger.Last = null;
        await drain.TellAsync(TestContext.Current.CancellationToken);
        return _ledger.Last;
    }
}
