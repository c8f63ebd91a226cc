using System.Collections.Immutable;
using Grid.Cli.Yaml;
using Grid.Secrets;

namespace Grid.Cli.Drafts;

/// <summary>A secret as a draft names it: where the workload is to find it, and where its value is now.</summary>
public sealed record DraftSecret(string At, SecretSource Source, Position Place)
{
    public bool IsFile => At.StartsWith('/');

    /// <summary><code>secrets: { NAME or /path: { file: PATH } | { env: VARIABLE } | { sealed: BASE64 } }</code></summary>
    internal static ImmutableArray<DraftSecret> ReadAll(Fields f)
    {
        if (f.Node("secrets") is not { } node)
            return [];
        var fields = Fields.Of(node, "'secrets'", f.Faults);
        var found = ImmutableArray.CreateBuilder<DraftSecret>();
        foreach (var (key, value) in fields.All)
        {
            if (Read(Fields.Of(value, $"the secret '{key.Text}'", f.Faults), key) is { } source)
                found.Add(new DraftSecret(key.Text, source, key.At));
        }
        return [.. found.OrderBy(s => s.At, StringComparer.Ordinal)];
    }

    private static SecretSource? Read(Fields f, YamlNode.Scalar key)
    {
        var (file, variable, text) = (f.Scalar("file"), f.Scalar("env"), f.Scalar("sealed"));
        f.Close();
        if (f.Broken)
            return null;
        if (new[] { file, variable, text }.Count(s => s is not null) != 1)
        {
            f.Fault(key.At, RefusalCode.MissingField, $"The secret '{key.Text}' must say one of 'file', 'env' and 'sealed'.", "The value itself never stands in this file.");
            return null;
        }
        if (text is null)
            return file is not null ? new SecretSource.File(file.Text) : new SecretSource.Variable(variable!.Text);
        var bytes = new byte[SecretSeal.Largest];
        if (Convert.TryFromBase64String(text.Text, bytes, out var length) && SecretSeal.HasForm(bytes.AsSpan(0, length)))
            return new SecretSource.Sealed(bytes.AsMemory(0, length));
        f.Fault(text.At, RefusalCode.SecretNotSealed, $"The secret '{key.Text}' is nothing that was sealed.", "Write what 'grid secret seal' printed.");
        return null;
    }
}

/// <summary>Where a secret's value is when a draft is planned.</summary>
public abstract record SecretSource
{
    private SecretSource()
    {
    }

    /// <param name="Path">as written: beside the draft, unless it is absolute</param>
    public sealed record File(string Path) : SecretSource;

    /// <summary>A variable of the environment of whoever plans.</summary>
    public sealed record Variable(string Name) : SecretSource;

    /// <summary>Sealed already, by <c>grid secret seal</c>: a draft with it can be kept where others read it.</summary>
    public sealed record Sealed(ReadOnlyMemory<byte> Bytes) : SecretSource;
}
