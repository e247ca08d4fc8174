//! The source identity: who stands behind a session, for as long as it is passed on.

use std::fmt;

use serde_core::ser::{Serialize, Serializer};

/// Who stands behind an AWS session (`sts:SourceIdentity`): 2 to 64 letters, digits and
/// `_+=,.@-` (STS API Reference, AssumeRole). CloudTrail shows it with every call, and it cannot
/// be changed when roles are chained.
///
/// A role takes it only where its trust policy allows `sts:SetSourceIdentity`, so an audience that
/// is bound to AWS has to opt in, with
/// [`Binding::allow_source_identity`](crate::Binding::allow_source_identity).
///
/// ```
/// use chancery_core::Claims;
/// use chancery_federation::aws::SourceIdentity;
///
/// let identity = SourceIdentity::parse("user-4711")?;
/// let claims = Claims::new("job:42").with_private_claim(SourceIdentity::CLAIM, &identity)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceIdentity(String);

impl SourceIdentity {
    /// The name of the claim.
    pub const CLAIM: &'static str = "https://aws.amazon.com/source_identity";

    /// Takes an identity.
    ///
    /// # Errors
    /// [`SourceIdentityError`] when AWS would refuse it.
    pub fn parse(identity: &str) -> Result<Self, SourceIdentityError> {
        check(identity)?;
        Ok(Self(identity.to_owned()))
    }

    /// Checks the claim's JSON.
    pub(crate) fn check_json(json: &str) -> Result<(), SourceIdentityError> {
        // None of the allowed characters is ever escaped by the core.
        match json
            .strip_prefix('"')
            .and_then(|json| json.strip_suffix('"'))
        {
            Some(identity) => check(identity),
            None => Err(SourceIdentityError::NotAString),
        }
    }

    /// The identity.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes the claim's value.
impl Serialize for SourceIdentity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

fn check(identity: &str) -> Result<(), SourceIdentityError> {
    let is_allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-')
    };
    // No colon is allowed, and so nothing that begins with `aws:`.
    if let Some(position) = identity.bytes().position(|byte| !is_allowed(byte)) {
        return Err(SourceIdentityError::Character { position });
    }
    if !(2..=64).contains(&identity.len()) {
        return Err(SourceIdentityError::Length {
            len: identity.len(),
        });
    }
    Ok(())
}

/// Why AWS would refuse a source identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceIdentityError {
    /// It has another character than letters, digits and `_+=,.@-`.
    Character {
        /// Where it stands, in bytes from 0.
        position: usize,
    },
    /// It has fewer than 2 or more than 64 characters.
    Length {
        /// Its length.
        len: usize,
    },
    /// The claim is not a string.
    NotAString,
}

impl fmt::Display for SourceIdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source identity ")?;
        match self {
            Self::Character { position } => write!(
                f,
                "has another character than letters, digits and _+=,.@- at byte {position}"
            ),
            Self::Length { len } => write!(f, "has {len} characters; 2 to 64 are allowed"),
            Self::NotAString => f.write_str("is not a string"),
        }
    }
}

impl std::error::Error for SourceIdentityError {}
