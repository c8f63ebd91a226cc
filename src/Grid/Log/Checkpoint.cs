using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Grid.Statements;
using Grid.Units;

namespace Grid.Log;

/// <summary>
/// What the log says of itself at one size (C2SP tlog-checkpoint). As text it is three lines: origin, size, root in base64.
/// Extension lines are refused: nobody audits them, and not every cosignature covers them.
/// </summary>
public sealed record Checkpoint(string Origin, long Size, Digest Root)
{
    /// <summary>The note that the log publishes; its key name is the origin.</summary>
    public SignedNote Sign(SigningKey key) => SignedNote.Sign(ToString(), Origin, key);

    public static bool TryParse(string? text, [NotNullWhen(true)] out Checkpoint? checkpoint)
    {
        checkpoint = null;
        Span<byte> root = stackalloc byte[48];
        if (text?.Split('\n') is not [var origin, var size, { Length: 44 } base64, ""] || !Payload.IsOrigin(origin)
            || !long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            || !Convert.TryFromBase64String(base64, root, out var length) || length != Digest.Size)
            return false;
        var parsed = new Checkpoint(origin, number, new Digest(root[..length]));
        // Only the one form: no leading zeroes, no loose bits.
        if (parsed.ToString() != text || (number == 0 && parsed.Root != MerkleTree.EmptyRoot))
            return false;
        checkpoint = parsed;
        return true;
    }

    /// <summary>True when the note is a checkpoint of this log, signed by the log's key. Other signatures, as of witnesses, may stand beside it.</summary>
    public static bool TryVerify(string? note, string origin, PublicKey key, [NotNullWhen(true)] out Checkpoint? checkpoint)
    {
        checkpoint = null;
        if (!SignedNote.TryParse(note, out var signed) || !signed.IsSignedBy(new NoteKey(origin, key)) || !TryParse(signed.Text, out var parsed) || parsed.Origin != origin)
            return false;
        checkpoint = parsed;
        return true;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Origin}\n{Size}\n{Convert.ToBase64String(Root.ToArray())}\n");
}
