//! Words of a POSIX shell (IEEE Std 1003.1, Shell Command Language §2.2).

/// Writes a word in single quotes, in which nothing has a meaning but the quote itself.
pub(crate) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
