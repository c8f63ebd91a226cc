using Grid.Agreements;
using Grid.Node.Agent;
using Grid.Node.Tests.Containers;
using Grid.Offers;
using Grid.Reconciliation;
using Grid.Statements;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Tests.Agent;

[Collection(OnThisMachine.Name)]
public sealed class ReceiptsTests(Machine machine) : Saying
{
    [Theory]
    [InlineData(null, null)]
    [InlineData("it is read-only now", "its volume 'data': it is read-only now")]
    public async Task A_workload_runs_and_is_told_what_is_wrong_with_the_disk_it_writes_to(string? fault, string? told)
    {
        var web = Web with { Mounts = [new VolumeMount("/data", "data")] };
        var observed = Seeing(web) with { Volumes = Observed.Nothing.Volumes.Add(new WorkloadKey(Agreement, "data"), new Sighting<VolumeSeen>.Present(new VolumeSeen(Bytes.GiB(1), true, null, TimeSpan.Zero) { Fault = fault })) };
        var said = await SaidAsync(observed, new Volume("data", Node, Bytes.GiB(1), Media.Ssd, TimeSpan.Zero), web);
        Assert.Equal(["data", "web"], said.Workloads.Select(w => w.Name));
        Assert.All(said.Workloads, w => Assert.Equal(WorkloadState.Running, w.State));
        Assert.Equal((fault, told), (said.Workloads[0].Reason, said.Workloads[1].Reason));
    }

    [Fact]
    public async Task The_disk_of_a_neighbour_is_nothing_to_it()
    {
        var observed = Seeing(Web) with { Volumes = Observed.Nothing.Volumes.Add(new WorkloadKey(Agreement, "data"), new Sighting<VolumeSeen>.Unknown("it is on two disks")), VolumesUnseen = "a disk is away" };
        Assert.Null(Assert.Single((await SaidAsync(observed, Web)).Workloads).Reason);
    }

    [Fact]
    public async Task What_is_paused_says_for_what_silence()
    {
        var (key, sighting) = Seeing(Web).Containers.Single();
        var seen = ((Sighting<ContainerSeen>.Present)sighting).Thing with { Phase = ContainerPhase.Paused };
        var said = Assert.Single((await SaidAsync(Observed.Nothing with { Containers = Observed.Nothing.Containers.Add(key, new Sighting<ContainerSeen>.Present(seen)) }, Web)).Workloads);
        Assert.Equal((WorkloadState.Stopped, "paused: the ledger was silent for longer than the 3600 s of the term's 'offline'"), (said.State, said.Reason));
    }

    private static Container Web { get; } = new(
        "web", Node, default, "/web", [], [], "/", new ContainerUser(0, 0), new MilliCores(100), Bytes.MiB(64), 16, [], [],
        new RestartPolicy(RestartWhen.Always, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)), Bytes.MiB(1), [], []);

    private static Observed Seeing(Container web)
    {
        var wish = new Wish(new WorkloadKey(Agreement, web.Name), default, web, Paused: false);
        return Observed.Nothing with { Containers = Observed.Nothing.Containers.Add(wish.Key, new Sighting<ContainerSeen>.Present(new ContainerSeen(wish.Spec, default, 1, ContainerPhase.Running))) };
    }

    private async Task<Receipt> SaidAsync(Observed observed, params Workload[] workloads)
    {
        var (user, farm, now) = (new AccountId(Digest.Of("user"u8)), new FarmId(Digest.Of("farm"u8)), DateTimeOffset.UnixEpoch);
        var terms = new AgreementTerms(
            1, null, user, [new FarmPart(farm, default, [Node])], new Term(null, null, TimeSpan.Zero, now, now.AddHours(1), new Offline(TimeSpan.FromHours(1), Pause: false)),
            new MoneyTerms(new Currency("EUR", 9), Money.Zero, [new FarmRate(farm, Money.Zero)], TimeSpan.Zero), [.. workloads], "");
        var receipts = ReceiptsOn(machine);
        receipts.Write([new Agreement.Ready(Agreement, new Agreements.Version(new StatementId(Digest.Of("version"u8)), terms), [], null, [])], observed);
        await receipts.DeliverAsync(TestContext.Current.CancellationToken);
        return Assert.IsType<Receipt>(Ledger.Last);
    }
}
