using System.Data.Common;
using Grid.Api;
using Grid.Ledger.Postgres;
using Grid.Ledger.Sequencing;
using Grid.Ledger.Store;
using Grid.Telemetry;

if (args is ["--help"])
{
    Console.WriteLine(LedgerOptions.Usage);
    return 0;
}
if (args is ["--version"])
{
    Console.WriteLine($"grid-ledger {typeof(LedgerOptions).Assembly.GetName().Version?.ToString(3)}");
    return 0;
}
var options = LedgerOptions.Parse(args, out var mistakes);
if (options is null)
{
    foreach (var mistake in mistakes)
        Say(mistake);
    return 2;
}
try
{
    using var collector = Collector.Connect("grid-ledger", null, LedgerTrace.Name, "Microsoft.AspNetCore", "Microsoft.AspNetCore.Hosting");
    using var admission = options.Hub is null ? null : new FlistAdmission(options.Hub);
    await using var ledger = await LedgerServer.StartAsync(options, admission: admission is null ? null : admission.CheckAsync);
    // On standard error like everything that is said to whoever runs it; the line below is for programs.
    if (admission is null)
        Console.Error.WriteLine("grid-ledger: no --hub is given: the flists that agreements name are not looked at here, only by nodes.");
    Console.WriteLine($"grid-ledger ready {ledger.Address}");
    await ledger.WaitForShutdownAsync();
    return 0;
}
catch (Exception e) when (WhyNot(e) is { } refusal)
{
    Say(refusal);
    return 1;
}

static void Say(Grid.Refusal refusal) => Console.Error.WriteLine(refusal.From("grid-ledger"));

// For whoever started this to put right; null for what is a defect of ours.
static Grid.Refusal? WhyNot(Exception e) => e switch
{
    StartException start => start.Refusal,
    ClusterException => new("database-unusable", e.Message, "Put that right and start the ledger again; nothing of the log was changed."),
    LogDamagedException => new("log-damaged", e.Message, "Put back a backup; whoever audited the ledger sees by 'grid ledger audit' whether it holds what they saw."),
    WriterReplacedException => new("log-in-use", e.Message, "End the other ledger, then start this one again."),
    DbException => new("database-unusable", e.Message, "Look whether the database of --postgres runs, and lets this user create schemas and roles."),
    IOException or UnauthorizedAccessException => StartException.Unreadable(e, "--data"),
    _ => null,
};
