using Grid.Bench.Ledger;

switch (args)
{
    case ["ledger", .. var rest]:
        return await LedgerBench.RunAsync(rest);
    default:
        Console.Error.WriteLine("tools/bench/run ledger [--statements N] [--callers N]");
        return 2;
}
