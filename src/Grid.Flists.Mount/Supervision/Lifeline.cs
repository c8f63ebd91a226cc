using Grid.Flists.Mount.Interop;
using Grid.Flists.Mount.Serving;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Mount;

/// <summary>
/// A pipe that ends with the supervisor. Before the mount is ready its end means that nobody waits for it any more: nothing is left behind.
/// Afterwards the daemon serves on, without anybody to start another.
/// </summary>
internal sealed class Lifeline
{
    private readonly Lock _lock = new();
    private readonly SafeFileHandle _end;
    private readonly string _mountpoint;
    private readonly MountLog _log;
    private bool _mounted;
    private bool _ready;

    public Lifeline(SafeFileHandle end, string mountpoint, bool ready, MountLog log)
    {
        (_end, _mountpoint, _ready, _log) = (end, mountpoint, ready, log);
        new Thread(Watch, 128 * 1024) { IsBackground = true, Name = "lifeline" }.Start();
    }

    public void WhileSupervised(Action mount)
    {
        lock (_lock)
        {
            mount();
            _mounted = true;
        }
    }

    public void Ready()
    {
        lock (_lock)
            _ready = true;
    }

    private void Watch()
    {
        Span<byte> one = stackalloc byte[1];
        if (UniStd.Read(_end, one, 1) != 0)
            return;
        lock (_lock)
        {
            if (_ready)
            {
                _log.Write("the supervisor is gone; this daemon serves on until the unmount, but its own end would now end the mount");
                return;
            }
            if (_mounted)
                _ = SysMount.Unmount(_mountpoint, SysMount.UMOUNT_NOFOLLOW | SysMount.MNT_DETACH);
            _log.Write("the mount was given up before it was ready");
            Environment.Exit(1);
        }
    }
}
