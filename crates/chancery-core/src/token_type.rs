//! The kinds of token an issuer signs.

use std::fmt;

/// What a token is, as its `typ` header parameter says (RFC 7515 §4.1.9). Explicit types keep one
/// kind of token from passing for another (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenType {
    /// `JWT`: an ID token or a workload's identity token. Clouds expect this one.
    #[default]
    Jwt,
    /// `at+jwt`: an OAuth 2.0 access token (RFC 9068). It must name its `client_id`.
    AccessToken,
    /// `logout+jwt`: a back-channel logout token (OpenID Connect Back-Channel Logout 1.0 §2.4).
    Logout,
}

impl TokenType {
    /// Every type, in the order of the enum.
    pub(crate) const ALL: [Self; 3] = [Self::Jwt, Self::AccessToken, Self::Logout];

    /// The value of the `typ` header parameter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jwt => "JWT",
            Self::AccessToken => "at+jwt",
            Self::Logout => "logout+jwt",
        }
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
