namespace Grid.Cli.Up.Examples;

/// <summary>The files of the three-tier example: PostgreSQL, and an application in Python that counts its visits in it.</summary>
internal static class ThreeTierRoots
{
    public const string DatabaseEntry = "/etc/shop/database";
    public const string ApplicationEntry = "/usr/bin/python3.11";
    public const string ApplicationProgram = "/etc/shop/application.py";
    public const int Port = 8080;

    // What the script needs; and initdb asks a shell for the version of postgres.
    private static readonly string[] Tools = ["sh", "rm", "mv"];

    public static string Page(int visit, int version) => $"Visit {visit}, by version {version} of the application.\n";

    public static Task MakeDatabaseAsync(Launcher launcher, string directory, CancellationToken cancel) =>
        DebianRoot.MakeAsync(launcher, directory, "postgresql-15,busybox-static", root =>
        {
            // The compiler for queries is two thirds of all, and these queries need none.
            foreach (var library in Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f).StartsWith("libLLVM", StringComparison.Ordinal)
                || Path.GetFileName(f).StartsWith("libz3", StringComparison.Ordinal) || Path.GetFileName(f) == "llvmjit.so"))
                File.Delete(library);
            foreach (var tool in Tools)
                File.CreateSymbolicLink(Path.Combine(root, "bin", tool), "busybox");
            Directory.CreateDirectory(Path.Combine(root, "data"));
            Directory.CreateDirectory(Path.Combine(root, "run/secrets"));
            DebianRoot.WriteProgram(root, DatabaseEntry[1..], Database);
            DebianRoot.Write(root, "etc/shop/pg_hba.conf", Admission);
            DebianRoot.WriteUser(root, "shop");
        }, cancel);

    public static Task MakeApplicationAsync(Launcher launcher, string directory, CancellationToken cancel) =>
        DebianRoot.MakeAsync(launcher, directory, "python3,python3-psycopg2", root => DebianRoot.WriteUser(root, "shop"), cancel);

    public static void WriteApplication(string root, int version) =>
        DebianRoot.Write(root, ApplicationProgram[1..], Application.Replace("VERSION", $"{version}", StringComparison.Ordinal));

    private const string Database = """
        #!/bin/sh
        set -e
        # A cluster is made under another name and only then gets its own: half of one is never taken for whole.
        if [ ! -d /data/cluster ]; then
          rm -rf /data/new
          /usr/lib/postgresql/15/bin/initdb --pgdata=/data/new --username=shop --locale=C --encoding=UTF8 --auth=reject --pwfile=/run/secrets/password
          mv /data/new /data/cluster
        fi
        exec /usr/lib/postgresql/15/bin/postgres -D /data/cluster -c hba_file=/etc/shop/pg_hba.conf -c unix_socket_directories=/tmp \
          -c shared_buffers=16MB -c max_connections=20 -c dynamic_shared_memory_type=mmap "$@"

        """;

    // Who has an address on the private network is who the agreement says. Libpq finds the password in PGPASSWORD.
    private const string Admission = """
        host postgres shop 10.43.0.3/32 scram-sha-256

        """;

    private const string Application = """
        import http.server, os, psycopg2

        class Shop(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                try:
                    code, text = 200, f"Visit {visit()}, by version VERSION of the application.\n"
                except psycopg2.OperationalError as e:
                    code, text = 503, f"The database does not answer: {e}"
                body = text.encode()
                self.send_response(code)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def visit():
            database = psycopg2.connect(host=os.environ["DATABASE"], user="shop", dbname="postgres", connect_timeout=5)
            try:
                with database, database.cursor() as cursor:
                    cursor.execute("CREATE TABLE IF NOT EXISTS visit (number bigint GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now())")
                    cursor.execute("INSERT INTO visit DEFAULT VALUES")
                    # Rows, not numbers: a sequence skips some after a crash.
                    cursor.execute("SELECT count(*) FROM visit")
                    return cursor.fetchone()[0]
            finally:
                database.close()

        http.server.ThreadingHTTPServer(("", 8080), Shop).serve_forever()

        """;
}
