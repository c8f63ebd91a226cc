using System.Net;
using System.Text.Json.Nodes;

namespace Grid.Cli.Up.Examples;

/// <summary>One web server on one node of one farm.</summary>
internal sealed class HelloPlay(PrivateGrid grid, Prompt prompt) : Play(grid, prompt)
{
    private const string Node = "north";
    private const string Workload = "hello/web";
    private const string Page = "Hello from inside: every byte of this was agreed.\n";

    private static readonly IPEndPoint Server = new(IPAddress.Loopback, 8080);

    private static readonly Farmer Farmer = new("farmer", "my-farm", """
        currency: { code: EUR, decimals: 9 }
        kinds: [container, network, volume]
        prices: { cpu: 3, memory: 1000, ssd: 10 }
        ceiling: { cpu: 2, memory: 2GiB, ssd: 4GiB }
        notice: 0s
        expires: +30d

        """);

    private string _root = "", _plan = "";

    protected override string Agreement => "hello";

    protected override IReadOnlyList<Farmer> Farmers => [Farmer];

    protected override IReadOnlyList<(string Node, Farmer Farmer)> Nodes => [(Node, Farmer)];

    protected override string Done => "Done: agreed, ran, proven, cancelled, gone.";

    protected override IEnumerable<string> ToTry =>
        ["grid status --watch", $"grid explain {Workload}", $"grid logs {Workload}", $"grid agreement history {Agreement}", "grid ledger status"];

    protected override IEnumerable<(string Stage, Func<Task> Run)> Acts() =>
    [
        ("root", RootAsync),
        ("flist", async () =>
        {
            Result["flist"] = await PublishAsync(_root);
            await File.WriteAllTextAsync(Grid.At("grid.yaml"), GridYaml((string)Result["flist"]!));
        }),
        ("plan", async () => _plan = await PlanAsync()),
        ("agree", () => AgreeAsync(_plan)),
        ("run", () => RunningAsync(_plan)),
        ("page", PageAsync),
        ("verify", VerifyAsync),
    ];

    protected override async Task GoneAsync()
    {
        await Prompt.UntilAsync("its last receipt", async () => (string?)(await Prompt.AskAsync("explain", Workload))["state"] == "gone");
        await Prompt.UntilAsync("its mounts and its control group to be gone", () => Task.FromResult(!Grid.Node(Node).Holds()));
        Prompt.Say("Gone: the process, its mounts and its cgroup; the last receipt says so.");
    }

    private async Task RootAsync()
    {
        Prompt.Say("Making a root file system from Debian's packages: nginx and what it needs …");
        _root = Grid.At("roots/web");
        await DebianRoot.MakeAsync(Grid.Launcher, _root, "nginx-light", root =>
        {
            DebianRoot.Write(root, "srv/www/index.html", Page);
            DebianRoot.Write(root, "etc/grid-example/nginx.conf", Configuration);
            DebianRoot.WriteUser(root, "web");
        }, Prompt.Cancel);
    }

    private async Task PageAsync()
    {
        var pid = Pid(Node, "web") ?? throw new UpFault("The node says that the workload runs, and shows no process.");
        string? page = null;
        await Prompt.UntilAsync("the web server inside to answer", async () => (page = await NamespacePage.TryGetAsync(pid, Server, Prompt.Cancel)) is not null);
        if (page != Page)
            throw new UpFault($"The page from inside is not the one that was agreed: '{page}'.");
        Prompt.Say($"From inside the container's own network: {page.Trim()}");
        Result["page"] = page;
        await Prompt.UntilAsync("the node's receipt", async () => (Result["receipt"] = Receipt(await Prompt.AskAsync("explain", Workload))) is not null);
        await Prompt.GridAsync("explain", Workload);
        Prompt.Say($"The node's receipt is entry {Result["receipt"]!["index"]} of the ledger, signed by {Result["receipt"]!["who"]}: {Result["receipt"]!["what"]}.");
    }

    private static JsonNode? Receipt(JsonNode explained) =>
        explained["items"]!.AsArray().LastOrDefault(i => (string?)i!["what"] == "workload running")?.DeepClone();

    private const string Configuration = """
        daemon off;
        worker_processes 1;
        pid /tmp/nginx.pid;
        error_log stderr;
        events { worker_connections 64; }
        http {
          access_log off;
          client_body_temp_path /tmp/body;
          proxy_temp_path /tmp/proxy;
          fastcgi_temp_path /tmp/fastcgi;
          uwsgi_temp_path /tmp/uwsgi;
          scgi_temp_path /tmp/scgi;
          server {
            listen 127.0.0.1:8080;
            root /srv/www;
          }
        }

        """;

    private static string GridYaml(string flist) => $$"""
        name: hello
        node: {{Node}}
        term:
          until: +24h
          answerBy: +5m
          convergeBy: +10m
        workloads:
          web:
            kind: container
            flist: {{flist}}
            entry: /usr/sbin/nginx
            args: ["-c", "/etc/grid-example/nginx.conf"]
            user: "1000:1000"
            cpu: 0.5
            memory: 128MiB
            scratch: { /tmp: 16MiB }
            restart: always

        """;
}
