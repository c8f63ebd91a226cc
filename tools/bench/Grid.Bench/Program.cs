using Grid.Bench.Flists;
using Grid.Bench.Gateways;
using Grid.Bench.Ledger;
using Grid.Bench.Networks;
using Grid.Bench.Node;
using Grid.Bench.Start;
using Grid.Flists.Mount;
using Grid.Node.Gateways;
using Grid.Node.Gateways.Front;

// The mounts' supervisor and daemon are this program too.
if (MountVerbs.TryRun(args) is { } code)
    return code;

// And so is the gateways' front.
if (args is [FrontProcess.Verb, .. var told])
    return await FrontProgram.RunAsync(told, TimeProvider.System);

switch (args)
{
    case ["ledger", .. var rest]:
        return await LedgerBench.RunAsync(rest);
    case ["flists", .. var rest]:
        return await FlistBench.RunAsync(rest);
    case ["start", .. var rest]:
        return await StartBench.RunAsync(rest);
    case ["networks", .. var rest]:
        return await NetworkBench.RunAsync(rest);
    case ["gateways", .. var rest]:
        return await GatewayBench.RunAsync(rest);
    case ["node", .. var rest]:
        return await NodeBench.RunAsync(rest);
    case [BuildRows.Verb, var tree, var store]:
        return await BuildRows.RunAsync(tree, store);
    default:
        Console.Error.WriteLine("tools/bench/run ledger [--statements N] [--callers N] [--only process]\ntools/bench/run flists [--tree DIR] [--only build|read]\ntools/bench/run start [--rounds N]\ntools/bench/run networks\ntools/bench/run gateways\ntools/bench/run node [--only idle]");
        return 2;
}
