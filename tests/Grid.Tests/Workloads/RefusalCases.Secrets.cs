using Grid.Secrets;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Workloads;

public sealed partial class RefusalCases
{
    /// <summary>As long as the shortest thing that is sealed.</summary>
    private const int Whole = 48 + 64;

    private void Secrets()
    {
        void Add(string name, string code, string describes, params (string At, int Size)[] secrets) =>
            Container($"secret-{name}", code, describes, c => c with { Secrets = [.. secrets.Select(s => new Secret(s.At, new byte[s.Size]))] });
        void Machine(string name, string code, string describes, string at, int size = Whole) =>
            Terms($"secret-{name}", code, describes, t => t with { Workloads = [Vm() with { Secrets = [new Secret(at, new byte[size])] }] });

        Add("in-the-open", RefusalCode.SecretNotSealed, "a secret that nobody sealed", ("TOKEN", 20));
        Add("of-nothing", RefusalCode.SecretNotSealed, "a secret without bytes", ("TOKEN", 0));
        Add("not-in-blocks", RefusalCode.SecretNotSealed, "a seal that is no multiple of 64 bytes", ("TOKEN", Whole + 1));
        Add("variable-name", RefusalCode.NameInvalid, "a variable whose name begins with a digit", ("1TOKEN", Whole));
        Add("relative", RefusalCode.NameInvalid, "a file whose path is not absolute", ("run/secrets/token", Whole));
        Add("without-name", RefusalCode.NameInvalid, "a secret that is nowhere", ("", Whole));
        Add("path", RefusalCode.LibraryNotDescribed, "PATH kept secret", ("PATH", Whole));
        Add("preload", RefusalCode.LibraryNotDescribed, "LD_PRELOAD kept secret", ("LD_PRELOAD", Whole));
        Add("in-root", RefusalCode.PathInvalid, "a file in the root itself", ("/token", Whole));
        Add("with-dots", RefusalCode.PathInvalid, "a file with '..' in its path", ("/run/secrets/../token", Whole));
        Add("of-a-directory", RefusalCode.PathInvalid, "a file without a name", ("/run/secrets/", Whole));
        Add("in-another", RefusalCode.PathInvalid, "a directory of secrets within another", ("/run/secrets/a/token", Whole), ("/run/secrets/token", Whole));
        Add("in-dev", RefusalCode.HostAccess, "a file among the devices", ("/dev/shm/token", Whole));
        Container("secret-and-variable", RefusalCode.NameTaken, "a variable that is open and secret", c => c with { Environment = [new("TOKEN", "1")], Secrets = [new Secret("TOKEN", new byte[Whole])] });
        Container("secret-in-scratch", RefusalCode.PathInvalid, "a directory of secrets that is a scratch", c => c with
        {
            Scratch = [new Scratch("/run/secrets", Bytes.MiB(1))],
            Secrets = [new Secret("/run/secrets/token", new byte[Whole])],
        });
        Container("secret-over-entry", RefusalCode.ExecFromWritable, "an entry in a directory of secrets", c => c with { Secrets = [new Secret("/bin/token", new byte[Whole])] });
        Machine("vm-in-the-open", RefusalCode.SecretNotSealed, "a credential that nobody sealed", "token", 20);
        Machine("vm-path", RefusalCode.NameInvalid, "a credential that is a path", "/run/token");
        Machine("vm-long-name", RefusalCode.NameInvalid, "a credential whose name is longer than a firmware file's", new string('t', 29));
        Machine("vm-directory", RefusalCode.NameInvalid, "a credential that is the directory itself", "..");
    }
}
