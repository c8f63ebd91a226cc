namespace Grid.Cli;

/// <summary>Codes of refusals that only the command line makes; the ledger's and the node's are in <see cref="RefusalCode"/>.</summary>
public static class CliCode
{
    public const string Usage = "usage";
    public const string Interrupted = "interrupted";
    public const string LedgerUnreachable = "ledger-unreachable";
    public const string HubUnreachable = "hub-unreachable";
    public const string LedgerNotSet = "ledger-not-set";
    public const string LedgerNotPinned = "ledger-not-pinned";
    public const string ConfigInvalid = "config-invalid";
    public const string FileUnreadable = "file-unreadable";
    public const string FileExists = "file-exists";
    public const string DraftInvalid = "draft-invalid";
    public const string DraftWaits = "draft-waits";
    public const string PlanMoved = "plan-moved";
    public const string PlanUnknown = "plan-unknown";
    public const string KeyUnknown = "key-unknown";
    public const string KeyExists = "key-exists";
    public const string KeyFileInvalid = "key-file-invalid";
    public const string KeyFileOpen = "key-file-open-to-others";
    public const string PassphraseFileOpen = "passphrase-file-open-to-others";
    public const string PassphraseMissing = "passphrase-missing";
    public const string PassphraseWrong = "passphrase-wrong";
    public const string AccountNotSet = "account-not-set";
    public const string Ambiguous = "ambiguous";
    public const string NotConfirmed = "not-confirmed";
    public const string NotConverged = "not-converged";
    public const string TimedOut = "timed-out";
    public const string Defect = "defect";
    public const string MountFailed = "mount-failed";
}
