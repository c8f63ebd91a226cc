using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using Grid.Statements;
using Grid.Units;

namespace Grid.Log;

/// <summary>
/// Text signed by one or more keys, as C2SP signed-note writes it: the text, a blank line, then one line a signature:
/// <c>— name base64(key id ‖ signature)</c>.
/// </summary>
/// <param name="Text">ends in a newline; no control characters but newlines</param>
public sealed record SignedNote(string Text, ImmutableArray<NoteSignature> Signatures)
{
    /// <summary>In characters: room for a checkpoint and for cosignatures of kinds with long signatures.</summary>
    public const int MaximumSize = 131_072;
    public const int MaximumSignatures = 100;

    private const string Dash = "\u2014 ";

    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    /// <exception cref="ArgumentException">the text cannot be that of a note</exception>
    public static SignedNote Sign(string text, string name, SigningKey key)
    {
        if (!IsText(text))
            throw new ArgumentException("A note's text ends in a newline and has no other control characters.", nameof(text));
        var signer = new NoteKey(name, key.Public);
        return new SignedNote(text, [new NoteSignature(name, signer.Id, key.Sign(Utf8.GetBytes(text)))]);
    }

    /// <summary>Reads the form only; nothing is believed before <see cref="IsSignedBy"/>.</summary>
    public static bool TryParse(string? note, [NotNullWhen(true)] out SignedNote? parsed)
    {
        parsed = null;
        if (note is null || note.Length > MaximumSize || note.LastIndexOf("\n\n", StringComparison.Ordinal) is var blank && blank < 0)
            return false;
        var text = note[..(blank + 1)];
        var lines = note[(blank + 2)..].Split('\n');
        // The last line's newline leaves one empty piece behind it.
        if (!IsText(text) || lines[^1].Length != 0 || lines.Length - 1 is < 1 or > MaximumSignatures)
            return false;
        var signatures = ImmutableArray.CreateBuilder<NoteSignature>(lines.Length - 1);
        foreach (var line in lines.AsSpan()[..^1])
        {
            if (!TryParseSignature(line, out var signature))
                return false;
            signatures.Add(signature);
        }
        parsed = new SignedNote(text, signatures.MoveToImmutable());
        return true;
    }

    /// <summary>
    /// True when there is a signature of this very key and each one of it is right. Signatures of other keys are not looked at, whatever name they claim.
    /// </summary>
    public bool IsSignedBy(NoteKey key)
    {
        var own = Signatures.Where(s => s.Name == key.Name && s.KeyId == key.Id).ToArray();
        return own.Length > 0 && own.All(s => s.Value.Length == 64 && key.Key.Verify(Utf8.GetBytes(Text), s.Value.Span));
    }

    public override string ToString() => string.Concat([Text, "\n", .. Signatures.Select(s => $"{s}\n")]);

    public bool Equals(SignedNote? other) => other is not null && Text == other.Text && Signatures.AsSpan().SequenceEqual(other.Signatures.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Text, Signatures.Length);

    private static bool TryParseSignature(string line, [NotNullWhen(true)] out NoteSignature? signature)
    {
        signature = null;
        if (!line.StartsWith(Dash, StringComparison.Ordinal) || line[Dash.Length..].Split(' ') is not [var name, var base64] || !NoteKey.IsName(name))
            return false;
        // Base64 has one form: what decoding would forgive (spaces, loose bits, missing padding) does not come back the same.
        Span<byte> value = new byte[base64.Length];
        if (!Convert.TryFromBase64String(base64, value, out var length) || length < 5 || Convert.ToBase64String(value[..length]) != base64)
            return false;
        signature = new NoteSignature(name, BinaryPrimitives.ReadUInt32BigEndian(value), value[4..length].ToArray());
        return true;
    }

    private static bool IsText(string text) => text.EndsWith('\n') && !text.Any(c => c is < ' ' and not '\n') && NoteKey.IsWellFormed(text);
}

/// <param name="Value">the signature without the key id; of a length that the key's algorithm says</param>
public sealed record NoteSignature(string Name, uint KeyId, ReadOnlyMemory<byte> Value)
{
    public override string ToString()
    {
        var value = new byte[4 + Value.Length];
        BinaryPrimitives.WriteUInt32BigEndian(value, KeyId);
        Value.Span.CopyTo(value.AsSpan(4));
        return $"\u2014 {Name} {Convert.ToBase64String(value)}";
    }

    public bool Equals(NoteSignature? other) => other is not null && Name == other.Name && KeyId == other.KeyId && Value.Span.SequenceEqual(other.Value.Span);

    public override int GetHashCode() => HashCode.Combine(Name, KeyId);
}

/// <summary>An Ed25519 key with the name it signs notes under. Its text is a C2SP verifier key: <c>name+hex(key id)+base64(0x01 ‖ key)</c>.</summary>
public sealed record NoteKey
{
    private const byte Ed25519 = 1;

    /// <exception cref="ArgumentException">the name is empty or has a space, a plus or a control character</exception>
    public NoteKey(string name, PublicKey key)
    {
        if (!IsName(name))
            throw new ArgumentException("A note key's name has no spaces, pluses or control characters.", nameof(name));
        (Name, Key) = (name, key);
        // key id = SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]
        var hash = Digest.Of([.. Encoding.UTF8.GetBytes(name), (byte)'\n', Ed25519, .. key.Value.ToArray()]);
        Id = BinaryPrimitives.ReadUInt32BigEndian(hash.ToArray());
    }

    public string Name { get; }

    public PublicKey Key { get; }

    public uint Id { get; }

    public static bool TryParse(string? text, [NotNullWhen(true)] out NoteKey? key)
    {
        key = null;
        // Base64 may hold a plus, a name may not.
        if (text?.Split('+', 3) is not [var name, var id, var base64] || !IsName(name) || base64.Length > 64)
            return false;
        Span<byte> value = stackalloc byte[48];
        if (!Convert.TryFromBase64String(base64, value, out var length) || length != 1 + Digest.Size || value[0] != Ed25519)
            return false;
        var parsed = new NoteKey(name, new PublicKey(new Digest(value[1..length])));
        // The id is checked and the form is the one we would write.
        if (id != parsed.Id.ToString("x8", null) || parsed.ToString() != text)
            return false;
        key = parsed;
        return true;
    }

    public static bool IsName(string text) =>
        text.Length is > 0 and <= 255 && !text.Any(c => char.IsWhiteSpace(c) || char.IsControl(c) || c is '+') && IsWellFormed(text);

    /// <summary>False when there are lone surrogates, which have no UTF-8.</summary>
    internal static bool IsWellFormed(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsSurrogate(text[i]) && (i + 1 == text.Length || !char.IsSurrogatePair(text[i], text[++i])))
                return false;
        }
        return true;
    }

    public override string ToString() => $"{Name}+{Id:x8}+{Convert.ToBase64String([Ed25519, .. Key.Value.ToArray()])}";
}
