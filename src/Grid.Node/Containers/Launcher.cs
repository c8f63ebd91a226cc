using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using Grid.Node.Containers.Interop;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Containers;

/// <param name="Path">absolute; nothing is searched for</param>
/// <param name="Environment">complete, as NAME=value</param>
internal sealed record Command(string Path, ImmutableArray<string> Args, ImmutableArray<string> Environment);

/// <summary>Starts a program with exactly the descriptors, environment and mounts that are named. No shell is involved.</summary>
internal static unsafe class Launcher
{
    /// <param name="errors">becomes the child's stdout and stderr; stdin is the /dev/null of its mounts</param>
    /// <param name="extra">becomes descriptor 3</param>
    /// <param name="mounts">null starts it with the node's own mounts, and so with its /dev/null: only what changes no owners</param>
    /// <returns>the child's pid, to be reaped by the caller</returns>
    /// <exception cref="System.ComponentModel.Win32Exception">a step failed; no child was made</exception>
    public static int Start(Command command, SafeFileHandle errors, SafeFileHandle? extra, PrivateMounts? mounts)
    {
        using var plan = new Prepared(command, errors, extra, mounts);
        if (mounts is null)
        {
            plan.Spawn();
        }
        else
        {
            // Namespaces belong to threads, and a thread that left the node's cannot come back. So this one is made for the purpose and ends.
            // All it needs is prepared in native memory: were it to allocate or complete a task, the runtime might start
            // threads of its own from it, and those would live on with the private mounts.
            var thread = new Thread(static state => ((Prepared)state!).SpawnPrivately(), 256 * 1024) { IsBackground = true };
            thread.Start(plan);
            thread.Join();
        }
        return plan.Result();
    }

    private sealed class Prepared : IDisposable
    {
        private readonly List<nint> _memory = [];
        private readonly byte* _path, _actions, _attributes, _root, _none, _tmpfs, _stage;
        private readonly byte** _argv, _envp;
        private readonly int _covered, _detached;
        private readonly byte** _cover, _detach, _nodes, _places;
        private int _pid, _error;
        private string _failed = "";

        public Prepared(Command command, SafeFileHandle errors, SafeFileHandle? extra, PrivateMounts? mounts)
        {
            _path = Text(command.Path);
            _argv = Texts([command.Path, .. command.Args]);
            _envp = Texts(command.Environment);
            _root = Text("/");
            _none = Text("none");
            _tmpfs = Text("tmpfs");
            _covered = mounts?.Covered.Length ?? 0;
            _detached = mounts?.Detached.Length ?? 0;
            _cover = Texts(mounts?.Covered ?? []);
            _detach = Texts(mounts?.Detached ?? []);
            _stage = Text(mounts?.Stage ?? "");
            _nodes = Texts([.. PrivateMounts.Devices.Select(d => $"{mounts?.Stage}/{d.Name}")]);
            _places = Texts([.. PrivateMounts.Devices.Select(d => $"/dev/{d.Name}")]);

            _actions = Zeroed(SpawnH.FileActionsSize);
            Check(SpawnH.posix_spawn_file_actions_init(_actions));
            Check(SpawnH.posix_spawn_file_actions_addopen(_actions, 0, Text("/dev/null"), Posix.O_RDWR, 0));
            // What outlives the agent stands in nobody's way.
            Check(SpawnH.posix_spawn_file_actions_addchdir_np(_actions, _root));
            Check(SpawnH.posix_spawn_file_actions_adddup2(_actions, Posix.Number(errors), 1));
            Check(SpawnH.posix_spawn_file_actions_adddup2(_actions, Posix.Number(errors), 2));
            if (extra is not null)
                Check(SpawnH.posix_spawn_file_actions_adddup2(_actions, Posix.Number(extra), 3));

            // The framework ignores SIGPIPE, and what is ignored stays ignored across exec: the workload shall not inherit that.
            var all = Zeroed(SpawnH.SignalSetSize);
            new Span<byte>(all, SpawnH.SignalSetSize).Fill(0xFF);
            _attributes = Zeroed(SpawnH.AttributesSize);
            Check(SpawnH.posix_spawnattr_init(_attributes));
            Check(SpawnH.posix_spawnattr_setsigdefault(_attributes, all));
            Check(SpawnH.posix_spawnattr_setsigmask(_attributes, Zeroed(SpawnH.SignalSetSize)));
            Check(SpawnH.posix_spawnattr_setflags(
                _attributes, SpawnH.POSIX_SPAWN_SETSIGDEF | SpawnH.POSIX_SPAWN_SETSIGMASK | SpawnH.POSIX_SPAWN_SETSID));
        }

        public void SpawnPrivately()
        {
            if (Sched.unshare(Sched.CLONE_NEWNS) != 0)
            {
                Fail("unshare");
                return;
            }
            // What the node unmounts later goes here too where its mounts are shared; nothing goes back.
            if (SysMount.mount(_none, _root, null, SysMount.MS_SLAVE | SysMount.MS_REC, null) != 0)
            {
                Fail("mount --make-rslave");
                return;
            }
            if (!OwnDevices())
            {
                Fail("make device nodes of its own");
                return;
            }
            for (var i = 0; i < _covered; i++)
            {
                if (SysMount.mount(_tmpfs, _cover[i], _tmpfs, SysMount.MS_NOSUID | SysMount.MS_NODEV | SysMount.MS_NOEXEC, null) != 0)
                {
                    Fail("mount over the second cgroup hierarchy");
                    return;
                }
            }
            for (var i = 0; i < _detached; i++)
            {
                // Detaching a mount takes along those below it; another may have gone on the node meanwhile.
                if (SysMount.umount2(_detach[i], SysMount.MNT_DETACH) != 0 && Marshal.GetLastSystemError() is not (Posix.EINVAL or Posix.ENOENT))
                {
                    Fail("umount");
                    return;
                }
            }
            Spawn();
        }

        public void Spawn()
        {
            int pid;
            _error = SpawnH.posix_spawn(&pid, _path, _actions, _attributes, _argv, _envp);
            _failed = "posix_spawn";
            _pid = pid;
        }

        public int Result() =>
            _error == 0 ? _pid : throw new System.ComponentModel.Win32Exception(_error, $"{_failed}: {Marshal.GetPInvokeErrorMessage(_error)}");

        public void Dispose()
        {
            Check(SpawnH.posix_spawn_file_actions_destroy(_actions));
            Check(SpawnH.posix_spawnattr_destroy(_attributes));
            foreach (var block in _memory)
                NativeMemory.Free((void*)block);
        }

        // The binds keep the nodes when the file system they were made in is out of sight.
        private bool OwnDevices()
        {
            const uint Everybody = 0x1B6; // 0666
            if (SysMount.mount(_tmpfs, _stage, _tmpfs, SysMount.MS_NOSUID | SysMount.MS_NOEXEC, null) != 0)
                return false;
            for (var i = 0; i < PrivateMounts.Devices.Length; i++)
            {
                // makedev(3) for numbers of one byte.
                var number = (ulong)((PrivateMounts.Devices[i].Major << 8) | PrivateMounts.Devices[i].Minor);
                if (SysMount.mknod(_nodes[i], SysMount.S_IFCHR | Everybody, number) != 0 || SysMount.chmod(_nodes[i], Everybody) != 0
                    || SysMount.mount(_nodes[i], _places[i], null, SysMount.MS_BIND, null) != 0)
                    return false;
            }
            return SysMount.umount2(_stage, SysMount.MNT_DETACH) == 0;
        }

        private void Fail(string step)
        {
            _error = Marshal.GetLastSystemError();
            _failed = step;
        }

        private static void Check(int error)
        {
            if (error != 0)
                throw new System.ComponentModel.Win32Exception(error);
        }

        private byte* Zeroed(int size)
        {
            var block = (byte*)NativeMemory.AllocZeroed((nuint)size);
            _memory.Add((nint)block);
            return block;
        }

        private byte* Text(string text)
        {
            var block = Zeroed(Encoding.UTF8.GetByteCount(text) + 1);
            Encoding.UTF8.GetBytes(text, new Span<byte>(block, Encoding.UTF8.GetByteCount(text)));
            return block;
        }

        private byte** Texts(ImmutableArray<string> texts)
        {
            var block = (byte**)Zeroed((texts.Length + 1) * sizeof(byte*));
            for (var i = 0; i < texts.Length; i++)
                block[i] = Text(texts[i]);
            return block;
        }
    }
}
