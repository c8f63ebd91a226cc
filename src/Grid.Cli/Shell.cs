namespace Grid.Cli;

/// <summary>
/// Everything the program takes from the process it runs in. A test hands in its own; nothing else reaches for the console, the clock,
/// chance, the environment or the network.
/// </summary>
/// <param name="Environment">a variable's value, null when it is not set</param>
/// <param name="Random">so many unpredictable bytes</param>
/// <param name="Http">a client for one server; the caller disposes it</param>
public sealed record Shell(
    TextReader In, TextWriter Out, TextWriter Error, Terminal Terminal, Func<string, string?> Environment, TimeProvider Time,
    Func<int, byte[]> Random, Func<Uri, HttpClient> Http)
{
    /// <summary>Told how a command ended, for whoever runs commands in this process and wants the result rather than its text.</summary>
    public Action<Output.Outcome>? Ended { get; init; }

    /// <summary>False where somebody else decides what is done next.</summary>
    public bool Hints { get; init; } = true;

    /// <summary>False where somebody else hears ctrl-C and hands it on: who is told twice cannot say whose end it was.</summary>
    public bool Signals { get; init; } = true;

    /// <summary>Standard output for bytes that are no text.</summary>
    public Func<Stream> Bytes { get; init; } = Console.OpenStandardOutput;

    /// <summary>Standard input for bytes that are no text.</summary>
    public Func<Stream> BytesIn { get; init; } = Console.OpenStandardInput;

    /// <summary>The process as it is.</summary>
    public static Shell OfProcess() => new(
        Console.In, Console.Out, Console.Error, Terminal.OfProcess(), System.Environment.GetEnvironmentVariable, TimeProvider.System,
        System.Security.Cryptography.RandomNumberGenerator.GetBytes, server => new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        })
        { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan });
}

/// <summary>What is at the other ends: a person or a file.</summary>
/// <param name="Width">columns of the terminal, for live views and help</param>
/// <param name="ReadSecret">asks without showing what is typed; null when nobody is there to ask</param>
public sealed record Terminal(bool In, bool Out, bool Error, int Width, Func<string, string?> ReadSecret)
{
    public static Terminal OfProcess() => new(
        !Console.IsInputRedirected, !Console.IsOutputRedirected, !Console.IsErrorRedirected,
        Console.IsOutputRedirected ? 100 : int.Max(40, Console.WindowWidth), Ask);

    private static string? Ask(string prompt)
    {
        if (Console.IsInputRedirected)
            return null;
        Console.Error.Write(prompt);
        var typed = new System.Text.StringBuilder();
        while (Console.ReadKey(intercept: true) is var key && key.Key != ConsoleKey.Enter)
        {
            if (key.Key == ConsoleKey.Backspace && typed.Length > 0)
                typed.Length--;
            else if (!char.IsControl(key.KeyChar))
                typed.Append(key.KeyChar);
        }
        Console.Error.WriteLine();
        return typed.ToString();
    }
}
