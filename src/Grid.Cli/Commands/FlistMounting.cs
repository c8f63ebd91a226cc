using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Cli.Output;
using Grid.Client;
using Grid.Flists.Mount;

namespace Grid.Cli.Commands;

/// <summary>Flists as read-only file systems of this machine; a mount lives until it is unmounted.</summary>
internal static class FlistMounting
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    public static IEnumerable<Command> Build(Frame frame) => [Mount(frame), Unmount(frame)];

    private static Command Mount(Frame frame)
    {
        var flist = FlistCommands.Flist(frame);
        var directory = new Argument<string>("DIRECTORY") { Description = "An existing directory" };
        return frame.Verb("mount", "Mount an flist read-only; files are fetched when they are touched", [flist, directory], (session, cancellation) => FlistCommands.GuardedAsync(async () =>
        {
            if (FlistCommands.ReadId(session.Value(flist), out var id) is { } wrong)
                return wrong;
            var path = Path.GetFullPath(session.Value(directory));
            if (!Directory.Exists(path))
                return new Refusal(RefusalCode.NotFound, $"{path} is no directory.", $"Make it: mkdir -p {path}");
            if (FlistMount.Find(path) is { } there)
                return new Refusal(RefusalCode.WrongState, $"{there.Flist} is mounted on {path} already.", $"Take it away first: grid flist unmount {path}");
            if (!session.HubAddress().Try(out var hub, out var refusal))
                return refusal with { Detail = $"{refusal.Detail} A mount fetches its files from one.", Next = $"{refusal.Next} What was built here is put there by 'grid flist push'." };
            var home = Path.GetFullPath(session.Context.Home);
            PrivateDirectory.Make(home);
            var spec = new MountSpec(id, path, Path.Combine(home, "cache"), [hub], Path.Combine(home, "mounts.log"));
            return await FlistMount.StartAsync(spec, Patience, cancellation).ConfigureAwait(false) switch
            {
                MountOutcome.Mounted m => Outcome.Of(
                    new JsonObject { ["id"] = id.ToString(), ["root"] = m.Mount.Root.ToString(), ["mountpoint"] = m.Mount.Mountpoint, ["engine"] = m.Mount.IsComposed ? "kernel" : "daemon" },
                    new Block.Fields([("flist", id.ToString()), ("root", m.Mount.Root.ToString()), ("mounted on", m.Mount.Mountpoint), ("shown by", m.Mount.IsComposed ? "the kernel: everything is here" : "a daemon")]), new Block.Next($"grid flist unmount {m.Mount.Mountpoint}")),
                MountOutcome.Failed { Failure: MountFailure.FlistUnavailable } f => new Refusal(CliCode.MountFailed, f.Reason, $"Put it on the hub with 'grid flist push {id}', or name another hub with --hub."),
                MountOutcome.Failed { Failure: MountFailure.MachineCannot } f when !Environment.IsPrivilegedProcess => new Refusal(CliCode.MountFailed, f.Reason, "Mounting needs root."),
                MountOutcome.Failed f => new Refusal(CliCode.MountFailed, $"{f.Reason} ({f.Failure})", $"See {spec.LogPath}."),
                _ => throw new System.Diagnostics.UnreachableException(),
            };
        }));
    }

    private static Command Unmount(Frame frame)
    {
        var directory = new Argument<string>("DIRECTORY") { Description = "Where it is mounted" };
        return frame.Verb("unmount", "Take an flist's mount away", [directory], (session, _) => FlistCommands.GuardedAsync(() =>
        {
            var path = Path.GetFullPath(session.Value(directory));
            if (FlistMount.Find(path) is not { } mount)
                return Task.FromResult<Outcome>(new Refusal(RefusalCode.NotFound, $"No flist is mounted on {path}.", "See 'grep grid: /proc/mounts'."));
            return Task.FromResult(FlistMount.Stop(path)
                ? Outcome.Of(new JsonObject { ["id"] = mount.Flist.ToString(), ["mountpoint"] = path }, Block.Line($"{mount.Flist} is unmounted from {path}"))
                : new Refusal(RefusalCode.WrongState, $"Files on {path} are in use.", "End what uses them and try again."));
        }));
    }
}
