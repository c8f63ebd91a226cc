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
        Console.Error.WriteLine(mistake.From("grid-ledger"));
    Console.Error.WriteLine(LedgerOptions.Usage);
    return 2;
}
try
{
    using var collector = Collector.Connect("grid-ledger", null, LedgerTrace.Name, "Microsoft.AspNetCore", "Microsoft.AspNetCore.Hosting");
    using var admission = options.Hub is null ? null : new FlistAdmission(options.Hub);
    await using var ledger = await LedgerServer.StartAsync(options, admission: admission is null ? null : admission.CheckAsync);
    Console.WriteLine($"grid-ledger ready {ledger.Address}");
    await ledger.WaitForShutdownAsync();
    return 0;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException or ClusterException or LogDamagedException or WriterReplacedException or DbException)
{
    // For whoever started this to put right: a key, an address, a database, another process, a damaged log.
    Console.Error.WriteLine($"grid-ledger: {e.Message}");
    return 1;
}
