using System.Diagnostics;

namespace Grid.Ledger.Postgres;

/// <summary>How a PostgreSQL program is started: as whom, and bound to whose life.</summary>
internal static class Launch
{
    /// <param name="stopWithUs">
    /// the kernel sends SIGINT (PostgreSQL's fast shutdown) when the thread that starts it ends, so a kill -9 of ours leaves nothing behind;
    /// that thread must therefore live as long as the server shall
    /// </param>
    /// <param name="directory">where it stands from its first moment, also while it is still setsid or setpriv; by that an orphan is known</param>
    public static ProcessStartInfo As(ServerUser? user, bool stopWithUs, string directory, string program, params IEnumerable<string> arguments)
    {
        // A session of its own: ctrl-C at the terminal is for us, and we stop the server when nothing needs it any more.
        // setpriv sets the death signal after it changed the user, which would clear it.
        string[] through = ["setpriv", .. user?.Arguments ?? [], .. stopWithUs ? ["--pdeathsig=INT"] : Array.Empty<string>(), "--", program];
        var start = new ProcessStartInfo("setsid", [.. through, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory,
        };
        start.Environment.Clear();
        start.Environment["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        start.Environment["LC_ALL"] = "C";
        return start;
    }
}
