using Grid.Node.Machines;

namespace Grid.Node.Tests.Machines;

public sealed class AcceleratorTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grid-accelerator-").FullName;

    private string Kept => Path.Combine(_directory, "accelerator");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void The_probes_kernel_runs_to_its_end_where_it_is_translated()
    {
        Requires(Emulator.Program);
        Assert.Null(Accelerator.Try(Emulator.Board(Accelerator.Tcg), Kept, TimeSpan.FromMinutes(1)));
        Assert.Empty(Directory.GetFiles(_directory));
    }

    [Fact]
    public void A_kernel_that_gets_nowhere_is_ended_and_told_from_one_that_runs()
    {
        Requires(Emulator.Program);
        // No guest can be through in the time that the emulator takes to begin.
        Assert.Equal("it gets nowhere in 1 s", Accelerator.Try([.. Emulator.Board(Accelerator.Tcg), "-S"], Kept, TimeSpan.FromSeconds(1)));
        Assert.Contains("ended with", Accelerator.Try([.. Emulator.Board("no such thing")], Kept, TimeSpan.FromSeconds(10)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_kvm_that_runs_no_kernel_is_not_used_and_why_is_said()
    {
        Requires(Emulator.Program);
        Requires("/dev/kvm");
        if (!Directory.Exists("/sys/module/kvm_pvm"))
            Assert.Skip("It takes a KVM that runs no kernel but its own; this machine's is another.");
        var found = Accelerator.OfThisBoot(Kept);
        Assert.Equal(Accelerator.Tcg, found.Name);
        Assert.StartsWith("/dev/kvm does not run a kernel: the emulator ended with", found.Why, StringComparison.Ordinal);
        // Also with a processor that it does not stumble over before the first instruction.
        Assert.NotNull(Accelerator.Try([.. Emulator.Board(Accelerator.Kvm).Select(a => a == "host" ? "host,-arch-capabilities" : a)], Kept + ".kernel", TimeSpan.FromSeconds(5)));
    }

    [Fact]
    public void What_was_found_counts_for_one_boot()
    {
        Requires(Emulator.Program);
        var found = Accelerator.OfThisBoot(Kept);
        Assert.Equal(found.IsEmulated, found.Why is not null);
        var lines = File.ReadAllLines(Kept);
        File.WriteAllLines(Kept, [lines[0], "tcg", "it was said before"]);
        Assert.Equal(new Accelerator("tcg", "it was said before"), Accelerator.OfThisBoot(Kept));
        File.WriteAllLines(Kept, ["another boot", "tcg", "it was said before"]);
        Assert.Equal(found, Accelerator.OfThisBoot(Kept));
    }

    [Fact]
    public void Machines_are_built_on_the_board_that_was_probed()
    {
        foreach (var accelerator in new[] { Accelerator.Kvm, Accelerator.Tcg })
        {
            var args = Emulator.Arguments(EmulatorTests.Machine, ["gt0"], 1420, accelerator);
            Assert.Equal(Emulator.Board(accelerator), args.Skip(args.IndexOf(Emulator.Program) + 1).Take(Emulator.Board(accelerator).Length));
        }
        var different = Emulator.Board(Accelerator.Kvm).Zip(Emulator.Board(Accelerator.Tcg)).Where(p => p.First != p.Second).ToList();
        Assert.Equal([("kvm", "tcg,tb-size=64"), ("host", "max")], different);
    }

    private static void Requires(string file)
    {
        if (!File.Exists(file))
            Assert.Skip($"It takes {file}.");
    }
}
