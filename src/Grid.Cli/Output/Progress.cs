using Spectre.Console;

namespace Grid.Cli.Output;

/// <summary>How far a long task is: a bar for a person, a line at each tenth for a file, nothing when asked to be quiet.</summary>
internal static class Progress
{
    /// <param name="run">reports how much is done of how much, in any unit</param>
    public static Task<T> RunAsync<T>(Session session, string title, Func<IProgress<(long Done, long Of)>, Task<T>> run) =>
        RunAsync(session, stage => run(stage(title)));

    /// <summary>The same of a task in stages, each shown from its first report on.</summary>
    /// <param name="run">is given what makes a stage of a title</param>
    public static async Task<T> RunAsync<T>(Session session, Func<Func<string, IProgress<(long Done, long Of)>>, Task<T>> run)
    {
        if (session.Quiet || session.Format != Format.Table || !session.Shell.Terminal.Error)
            return await run(title => new Lines(session, title)).ConfigureAwait(false);
        return await Screen.Live(session).Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(bars => run(title => new Bar(() => bars.AddTask(Markup.Escape(title))))).ConfigureAwait(false);
    }

    private sealed class Bar(Func<ProgressTask> add) : IProgress<(long Done, long Of)>
    {
        private readonly Lazy<ProgressTask> _task = new(add);

        public void Report((long Done, long Of) value)
        {
            var task = _task.Value;
            task.MaxValue = long.Max(1, value.Of);
            task.Value = value.Done;
        }
    }

    private sealed class Lines(Session session, string title) : IProgress<(long Done, long Of)>
    {
        private readonly Lock _one = new();
        private long _tenth;

        // Reports come from several threads.
        public void Report((long Done, long Of) value)
        {
            var tenth = value.Of == 0 ? 10 : value.Done * 10 / value.Of;
            lock (_one)
            {
                if (tenth <= _tenth)
                    return;
                _tenth = tenth;
                session.Say($"{title}: {tenth * 10} %");
            }
        }
    }
}

/// <summary>The same report in another unit.</summary>
internal sealed class Mapped<T>(IProgress<(long Done, long Of)> inner, Func<T, (long Done, long Of)> map) : IProgress<T>
{
    public void Report(T value) => inner.Report(map(value));
}
