using System.Text;
using Grid.Agreements;
using Grid.Machines;
using Grid.Workloads;

namespace Grid.Secrets;

/// <summary>The static rules of secrets; part of <see cref="AgreementRules"/>. That a seal opens is for its node to find out, before it answers.</summary>
internal static class SecretRules
{
    /// <summary>Of a credential's name. QEMU names a firmware file by 55 characters (FW_CFG_MAX_FILE_PATH), of which 27 are the directory.</summary>
    private const int LongestName = 28;

    public static void Check(Container container, Findings found)
    {
        var name = container.Name;
        foreach (var secret in container.Secrets)
        {
            CheckForm(name, secret, found);
            if (secret.IsFile)
                CheckFile(container, secret, found);
            else
                CheckVariable(container, secret, found);
        }
    }

    public static void Check(Machine machine, Findings found)
    {
        foreach (var secret in machine.Secrets)
        {
            CheckForm(machine.Name, secret, found);
            if (secret.At.Length is 0 or > LongestName || !secret.At.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-') || secret.At is "." or "..")
                found.Add(new(RefusalCode.NameInvalid, $"'{secret.At}' in '{machine.Name}' is not the name of a credential.", $"Use 1–{LongestName} of letters, digits, '.', '_' and '-'."), "secrets", secret.At);
        }
    }

    private static void CheckForm(string name, Secret secret, Findings found)
    {
        if (!SecretSeal.HasForm(secret.Sealed.Span))
            found.Add(new(RefusalCode.SecretNotSealed, $"The secret '{secret.At}' of '{name}' is nothing that is sealed.", "Let the draft name a file or a variable, or the output of 'grid secret seal'."), "secrets", secret.At);
    }

    private static void CheckVariable(Container container, Secret secret, Findings found)
    {
        var (name, at) = (container.Name, secret.At);
        if (at.Length is 0 or > 1024 || char.IsAsciiDigit(at[0]) || !at.All(c => char.IsAsciiLetterOrDigit(c) || c == '_'))
            found.Add(new(RefusalCode.NameInvalid, $"'{at}' in '{name}' is not a name for a secret.", "Use letters, digits and '_' for a variable, or the absolute path of a file."), "secrets", secret.At);
        if (container.Environment.Any(e => e.Key == at))
            found.Add(new(RefusalCode.NameTaken, $"'{at}' of '{name}' is both a variable and a secret."), "secrets", secret.At);
        // These say which files are executed and loaded, and an agreement says that in the open.
        if (at is "PATH" or "GCONV_PATH" || at.StartsWith("LD_", StringComparison.Ordinal))
            found.Add(new(RefusalCode.LibraryNotDescribed, $"'{name}' may not keep {at} secret: what is executed and loaded is described.", "Set it in 'env'."), "secrets", secret.At);
    }

    private static void CheckFile(Container container, Secret secret, Findings found)
    {
        var (name, at) = (container.Name, secret.At);
        if (!AgreementRules.IsPlainPath(at) || Encoding.UTF8.GetByteCount(secret.FileName) > 255)
            found.Add(new(RefusalCode.PathInvalid, $"'{at}' in '{name}' is not an absolute path without '.', '..', empty parts or control characters."), "secrets", secret.At);
        else if (secret.Directory.Length == 0)
            found.Add(new(RefusalCode.PathInvalid, $"The secret '{at}' of '{name}' would cover the whole root.", "Put it into a directory of its own, such as /run/secrets."), "secrets", secret.At);
    }
}
