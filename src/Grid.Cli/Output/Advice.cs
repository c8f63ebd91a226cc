namespace Grid.Cli.Output;

/// <summary>What to do next about a refusal of those who do not know this command line: the ledger, a hub, the rules.</summary>
internal static class Advice
{
    public static string Next(Problem problem) => problem.Refusal.Next
        ?? (problem.Where is not null ? "Change it there, and run the same command again." : Of(problem.Refusal.Code));

    private static string Of(string code) => code switch
    {
        RefusalCode.NotAParty or RefusalCode.SignatureMissing or RefusalCode.StrangerSigned =>
            "Say with --account who speaks and with --key which key signs; 'grid account list' shows who can from here.",
        RefusalCode.WrongLedger or RefusalCode.BadCheckpoint or RefusalCode.BadProof or RefusalCode.Inconsistent or RefusalCode.BadSignature =>
            "Do not act on it. Hold the pinned key against the one its operator gave you, and run 'grid ledger audit'.",
        RefusalCode.NotFound or RefusalCode.UnresolvedNode => "See what there is with the 'list' of the same noun, such as 'grid node list'.",
        RefusalCode.Expired or RefusalCode.NotYetValid or RefusalCode.TermInPast => "Set this machine's clock, and run the same command again.",
        RefusalCode.WrongState or RefusalCode.AlreadySo or RefusalCode.Conflict or RefusalCode.NodeRetired =>
            "See how it stands with 'grid status', 'grid node show' or 'grid offer show'.",
        RefusalCode.Capacity or RefusalCode.OfferMismatch or RefusalCode.PriceMismatch or RefusalCode.UnsupportedKind =>
            "Compare with 'grid offer show' and 'grid node show', and draft it again.",
        RefusalCode.FlistIncomplete or RefusalCode.FlistInvalid or RefusalCode.EntryNotDescribed or RefusalCode.InterpreterNotDescribed or RefusalCode.LibraryNotDescribed =>
            "Look with 'grid flist tree' and 'grid flist verify' at what it holds; build it again with what is missing, and use the new id.",
        RefusalCode.Malformed or RefusalCode.UnknownKind or RefusalCode.UnknownVersion or RefusalCode.MissingField or RefusalCode.UnknownField =>
            "Check the address, and that 'grid --version' here is as new as the other side.",
        _ => "Correct what the sentence names, and run the same command again.",
    };
}
