using Grid.Node.Containers;

namespace Grid.Node.Networks;

/// <summary>Whose WireGuard new tunnels are made of: the kernel's own, which costs no process and no copy of each packet, or wireguard-go's.</summary>
/// <param name="InKernel">the kernel makes such interfaces, used or not</param>
/// <param name="Why">why it is not the kernel's; null when it is</param>
public sealed record WireGuardEngine(bool InKernel, string? Why)
{
    private const string Unshare = "/usr/bin/unshare";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    public bool IsKernel => Why is null;

    public string Name => IsKernel ? "WireGuard in the kernel" : "wireguard-go";

    /// <summary>Has the kernel make one, in a network namespace that ends with the program which asks.</summary>
    internal static WireGuardEngine Find() => Find(
        () => Tool.Run("ip", new Command(Unshare, ["--net", Programs.Ip, "link", "add", "probe", "type", "wireguard"], Programs.Environment), Patience), File.Exists);

    /// <param name="make">has the kernel make an interface of WireGuard, which is gone when it returns; throws when it does not</param>
    /// <param name="installed">whether a program is there</param>
    internal static WireGuardEngine Find(Action make, Func<string, bool> installed)
    {
        try
        {
            make();
            return new WireGuardEngine(true, installed(Programs.Wg) ? null : $"{Programs.Wg} is not installed");
        }
        catch (Exception e) when (Effect.IsOfTheMachine(e))
        {
            return new WireGuardEngine(false, $"the kernel makes no interface of WireGuard: {e.Message.Split('\n')[0].TrimEnd('.')}");
        }
    }
}
