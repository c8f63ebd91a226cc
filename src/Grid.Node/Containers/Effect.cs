using System.ComponentModel;

namespace Grid.Node.Containers;

/// <summary>Runs what changes the machine. It blocks in the kernel, which a pool thread may not, so each has a thread of its own.</summary>
internal static class Effect
{
    /// <param name="judge">what a failure means; without it whatever the machine refused may succeed later</param>
    public static Task<Outcome> Run(Func<Outcome> effect, Func<Exception, Outcome>? judge = null) => Task.Factory.StartNew(
        () =>
        {
            try
            {
                return effect();
            }
            catch (Exception e) when (IsOfTheMachine(e))
            {
                return judge is null ? new Outcome.Transient(e.Message) : judge(e);
            }
        },
        CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>A system call failed, by whichever way of calling it; any other exception is a defect of ours. A SocketException is a Win32Exception.</summary>
    public static bool IsOfTheMachine(Exception e) => e is Win32Exception or IOException or UnauthorizedAccessException;
}
