namespace Grid.Flists.Hub;

/// <summary>Why a hub could not be used for something.</summary>
public enum HubFailure
{
    /// <summary>No connection, or it broke.</summary>
    Unreachable,

    /// <summary>Nothing came for too long, or too slowly.</summary>
    TimedOut,

    /// <summary>The hub does not have it.</summary>
    NotFound,

    /// <summary>429 or 503: later, perhaps.</summary>
    Busy,

    /// <summary>The hub will not; <see cref="HubException.Refusal"/> says why.</summary>
    Refused,

    /// <summary>An answer that the API does not know: another status, a redirect, a wrong length or range.</summary>
    BadAnswer,

    /// <summary>The bytes are not what their name says.</summary>
    WrongBytes,
}

/// <summary>A hub failed; <see cref="Failure"/> says how, <see cref="Hub"/> which.</summary>
public sealed class HubException(HubFailure failure, Uri hub, string message, Exception? inner = null) : IOException($"{hub}: {message}", inner)
{
    public HubFailure Failure { get; } = failure;

    public Uri Hub { get; } = hub;

    public Refusal? Refusal { get; init; }
}
