using System.Diagnostics;
using Grid.Node.Containers;

namespace Grid.Node.Machines;

/// <summary>
/// What executes the guests' instructions: the processor itself, by KVM, or the emulator, which translates them (TCG). That there is a /dev/kvm says little: one that
/// interprets its guests, or knows only kernels made for it, is there as well. So a guest is run by it, on the very board that machines have.
/// </summary>
/// <param name="Why">why it is not KVM; null when it is</param>
public sealed record Accelerator(string Name, string? Why)
{
    public const string Kvm = "kvm", Tcg = "tcg";

    private const string Device = "/dev/kvm", Timeout = "/usr/bin/timeout", BootId = "/proc/sys/kernel/random/boot_id";
    private const int LongestReason = 150;

    // A processor is done in a tenth of a second.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    public bool IsEmulated => Name != Kvm;

    public override string ToString() => Why is null ? Name : $"{Name}: {Why}";

    /// <summary>As it was found in this boot, or is found now.</summary>
    /// <param name="kept">the file that keeps it</param>
    internal static Accelerator OfThisBoot(string kept)
    {
        var boot = File.ReadAllText(BootId).Trim();
        if (File.Exists(kept) && File.ReadAllLines(kept) is [var of, (Kvm or Tcg) and var name, .. var why] && of == boot)
            return new Accelerator(name, why.FirstOrDefault());
        var found = Find(kept + ".kernel");
        File.WriteAllText(kept + ".new", $"{boot}\n{found.Name}\n{found.Why}");
        File.Move(kept + ".new", kept, overwrite: true);
        return found;
    }

    /// <summary>Runs <see cref="ProbeKernel"/>.</summary>
    /// <param name="board">as <see cref="Emulator.Board(string)"/> says</param>
    /// <param name="kernel">a file for it, which is gone afterwards</param>
    /// <returns>null when it ran to its end; otherwise why not</returns>
    internal static string? Try(IEnumerable<string> board, string kernel, TimeSpan patience)
    {
        var clock = Stopwatch.StartNew();
        try
        {
            File.WriteAllBytes(kernel, ProbeKernel.Image());
            // Killed from outside: an emulator whose processors are stuck does not look at its own clock.
            var said = Tool.Run("the emulator", new Command(Timeout,
                [
                    "--signal=KILL", $"{patience.TotalSeconds:0}", Emulator.Program, .. board, "-no-reboot", "-m", "32M", "-kernel", kernel,
                    "-chardev", "stdio,id=said", "-device", $"isa-debugcon,iobase={ProbeKernel.Port},chardev=said",
                ], ["LC_ALL=C"]), patience + TimeSpan.FromSeconds(1));
            return said.Contains(ProbeKernel.Said, StringComparison.Ordinal) ? null : "a kernel ends before its time";
        }
        catch (IOException e)
        {
            var reason = clock.Elapsed < patience ? e.Message.Split('\n')[0] : $"it gets nowhere in {patience.TotalSeconds:0} s";
            return reason.Length <= LongestReason ? reason : reason[..LongestReason];
        }
        finally
        {
            File.Delete(kernel);
        }
    }

    private static Accelerator Find(string kernel)
    {
        var why = !File.Exists(Device) ? $"there is no {Device}"
            : !File.Exists(Timeout) ? $"{Timeout} is not installed"
            : Try(Emulator.Board(Kvm), kernel, Patience) is { } failed ? $"{Device} does not run a kernel: {failed}"
            : null;
        return new Accelerator(why is null ? Kvm : Tcg, why);
    }
}
