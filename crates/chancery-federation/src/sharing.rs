//! Whom an issuer makes tokens for.

/// Whom an issuer makes tokens for. A trust policy that lets in every token of a shared issuer lets
/// in every customer, and is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One customer, who owns every subject: an issuer of his own.
    OneCustomer,
    /// Several customers, who differ in their tokens' subjects.
    ManyCustomers,
}

/// Whether a text that is compared as a whole may be that of one customer. It is not if it is all
/// wildcards, or plain segments that end where an id should follow, as in `repo:`: it was meant to be
/// a pattern.
pub(crate) fn is_somebody(text: &str) -> bool {
    let is_wildcard = |character| matches!(character, '*' | '?');
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "-._~/:|".contains(character);
    let is_beginning = text.ends_with([':', '|']) && text.chars().all(is_plain);
    !text.chars().all(is_wildcard) && !is_beginning
}

/// Where one segment of a subject ends and the next begins.
pub(crate) const fn is_separator(character: char) -> bool {
    matches!(character, ':' | '/' | '|' | ',' | '=' | '#' | '@')
}
