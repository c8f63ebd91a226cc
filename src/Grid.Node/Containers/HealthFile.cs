using Grid.Reconciliation;

namespace Grid.Node.Containers;

/// <summary>What was found of a container's health, in its bundle, and so for as long as this start of it lasts: empty when it was healthy, else why it is ended.</summary>
internal static class HealthFile
{
    private const string Name = "health";

    public static HealthMark? Read(string bundle)
    {
        var path = Path.Combine(bundle, Name);
        return !File.Exists(path) ? null : File.ReadAllText(path) is { Length: > 0 } why ? new HealthMark(why) : new HealthMark(null);
    }

    public static void Write(string bundle, HealthMark mark)
    {
        var path = Path.Combine(bundle, Name);
        if (mark.Unhealthy is { } why)
        {
            File.WriteAllText(path + ".new", why);
            File.Move(path + ".new", path, overwrite: true);
        }
        else if (!File.Exists(path))
        {
            // Not over what was written meanwhile: a last healthy answer does not undo an end that has begun.
            using var _ = new FileStream(path, FileMode.CreateNew);
        }
    }
}
