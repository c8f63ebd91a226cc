using System.Diagnostics;
using System.Globalization;

namespace Grid.Bench.Flists;

/// <summary>Times of the same work done in different ways, in interleaved rounds; medians and ratios of them.</summary>
internal sealed class Rounds
{
    private readonly Dictionary<string, List<double>> _seconds = [];
    private readonly Table _table = new("what", "by", "here", "beside", "there", "ratio of speeds", "aim");

    public void Add(string name, double seconds)
    {
        if (!_seconds.TryGetValue(name, out var all))
            _seconds[name] = all = [];
        all.Add(seconds);
    }

    public async Task TimeAsync(string name, Func<Task> run)
    {
        var started = Stopwatch.GetTimestamp();
        await run();
        Add(name, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    public void Time(string name, Action run)
    {
        var started = Stopwatch.GetTimestamp();
        run();
        Add(name, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    /// <summary>
    /// A row of the table: how much of which unit both did in their time. A ratio above 1 says that ours is the quicker. A name is "what: by whom", or "what".
    /// </summary>
    public void Row(string name, string peer, double amount, string unit, string aim)
    {
        var (ours, theirs) = (Median(name), Median(peer));
        _table.Add(name.Split(": ")[0], name.Split(": ") is [_, var by] ? by : "", Say(amount / ours, unit), peer.Split(": ")[^1], Say(amount / theirs, unit), (theirs / ours).ToString("0.00", CultureInfo.InvariantCulture), aim);
    }

    public void Alone(string name, string value, string aim) => _table.Add(name, "", value, "", "", "", aim);

    public double Median(string name) => _seconds[name].Order().ElementAt(_seconds[name].Count / 2);

    public void Print(TextWriter to) => _table.Print(to);

    private static string Say(double value, string unit) => $"{value.ToString(value < 100 ? "0.0" : "N0", CultureInfo.InvariantCulture)} {unit}";
}
