using Grid.Agreements;

namespace Grid.Workloads;

/// <summary>The static rules of how a container's health is asked.</summary>
internal static class HealthRules
{
    public static void Check(string name, Health health, Findings found)
    {
        if (health.Every < Health.Soonest || health.Every > Health.MaximumEvery)
            found.Add(new(RefusalCode.TermInvalid, $"The health of '{name}' is asked every {health.Every.TotalSeconds:0} s; it may be every second to every hour."), "health", "every");
        if (health.Within < Health.Soonest || health.Within > Health.MaximumWithin || health.Within > health.Every)
            found.Add(new(RefusalCode.TermInvalid, $"The health of '{name}' must answer within 1 s to 60 s, and not later than it is asked again; {health.Within.TotalSeconds:0} s is neither."), "health", "within");
        // It becomes a line of a request: nothing in it may end that line or begin another.
        if (health.Path is { } path && (path.Length > Health.MaximumPath || !path.StartsWith('/') || path.Any(c => c is <= ' ' or > '~')))
            found.Add(new(RefusalCode.PathInvalid, $"The health of '{name}' asks for a path that does not begin with '/', is longer than {Health.MaximumPath} or holds more than printable ASCII without spaces.", "Percent-encode what is not."), "health", "path");
    }
}
