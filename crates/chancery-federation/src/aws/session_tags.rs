//! Session tags: what AWS writes on a session, out of a token.

use std::fmt;

use serde_core::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

use super::policy::repeats_member;

/// The most tags of a session.
const MAX_TAGS: usize = 50;
/// The longest key, in characters.
const MAX_KEY: usize = 128;
/// The longest value, in characters.
const MAX_VALUE: usize = 256;

/// The tags of an AWS session, within all of AWS's limits (IAM User Guide, Pass session tags in
/// AWS STS): at most 50, keys of 1 to 128 characters and values of up to 256, letters, digits,
/// spaces and `_.:/=+-@`, no key that begins with `aws:` and none twice, whatever its case.
///
/// A role takes tags only where its trust policy allows `sts:TagSession`; a token with tags fails
/// on every other one. So an audience that is bound to AWS has to opt in, with
/// [`Binding::allow_session_tags`](crate::Binding::allow_session_tags). How many tags fit into a
/// session besides its policies AWS alone knows (`PackedPolicyTooLarge`): use few and short ones.
///
/// ```
/// use chancery_core::Claims;
/// use chancery_federation::aws::SessionTags;
///
/// let tags = SessionTags::new()
///     .with_transitive_tag("organizationId", "632b8219")?
///     .with_tag("projectId", "7f3c2a10")?;
/// let claims = Claims::new("job:42").with_private_claim(SessionTags::CLAIM, &tags)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionTags {
    tags: Vec<Tag>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    key: String,
    /// The key without its case.
    folded: String,
    value: String,
    is_transitive: bool,
}

impl SessionTags {
    /// The name of the claim.
    pub const CLAIM: &'static str = "https://aws.amazon.com/tags";

    /// No tags yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { tags: Vec::new() }
    }

    /// Adds a tag.
    ///
    /// # Errors
    /// [`SessionTagsError`] names the limit that it exceeds.
    pub fn with_tag(
        self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, SessionTagsError> {
        self.with(key.into(), value.into(), false)
    }

    /// Adds a tag that sessions inherit which are assumed from this one (role chaining).
    ///
    /// # Errors
    /// As for [`SessionTags::with_tag`].
    pub fn with_transitive_tag(
        self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, SessionTagsError> {
        self.with(key.into(), value.into(), true)
    }

    /// Reads the claim's JSON.
    ///
    /// # Errors
    /// [`SessionTagsError`] when it has another shape than AWS reads, or exceeds a limit.
    pub fn from_json(json: &str) -> Result<Self, SessionTagsError> {
        let value: Value = serde_json::from_str(json).map_err(|_| SessionTagsError::Shape {
            place: String::new(),
        })?;
        if repeats_member(json.as_bytes()) {
            return Err(SessionTagsError::RepeatedMember);
        }
        Self::from_value(&value)
    }

    /// Whether a claim of this name sets session tags in AWS's flat spelling, one claim for each
    /// tag (IAM User Guide, Pass session tags in AWS STS). It is not one that this type writes.
    pub(crate) fn is_flat_claim(name: &str) -> bool {
        name.strip_prefix(Self::CLAIM)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Checks the claim's JSON. It is fast where the claim was made with this type, of ASCII.
    pub(crate) fn check_json(json: &str) -> Result<(), SessionTagsError> {
        if is_plainly_valid(json) {
            return Ok(());
        }
        Self::from_json(json).map(|_| ())
    }

    /// Reads the claim.
    pub(crate) fn from_value(claim: &Value) -> Result<Self, SessionTagsError> {
        let shape = |place: &str| SessionTagsError::Shape {
            place: place.to_owned(),
        };
        let members = claim.as_object().ok_or_else(|| shape(""))?;
        if let Some(other) = members
            .keys()
            .find(|name| !matches!(name.as_str(), "principal_tags" | "transitive_tag_keys"))
        {
            return Err(shape(other));
        }
        let principal_tags = members
            .get("principal_tags")
            .and_then(Value::as_object)
            .ok_or_else(|| shape("principal_tags"))?;
        let mut tags = Self::new();
        for (key, values) in principal_tags {
            let value = match values.as_array().map(Vec::as_slice) {
                Some([Value::String(value)]) => value,
                _ => return Err(shape(key)),
            };
            tags = tags.with_tag(key, value)?;
        }
        let transitive = match members.get("transitive_tag_keys") {
            None => &[],
            Some(keys) => keys
                .as_array()
                .map(Vec::as_slice)
                .ok_or_else(|| shape("transitive_tag_keys"))?,
        };
        for key in transitive {
            let key = key.as_str().ok_or_else(|| shape("transitive_tag_keys"))?;
            let tag = tags.tags.iter_mut().find(|tag| tag.key == key);
            let tag = tag.ok_or_else(|| SessionTagsError::NoSuchTag {
                key: key.to_owned(),
            })?;
            tag.is_transitive = true;
        }
        Ok(tags)
    }

    /// The tags, in the order in which they were added: key, value, and whether it is transitive.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.tags
            .iter()
            .map(|tag| (tag.key.as_str(), tag.value.as_str(), tag.is_transitive))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tags.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    fn with(
        mut self,
        key: String,
        value: String,
        is_transitive: bool,
    ) -> Result<Self, SessionTagsError> {
        check_key(&key)?;
        let len = value.chars().count();
        if len > MAX_VALUE {
            return Err(SessionTagsError::ValueLength { key, len });
        }
        if let Some((position, _)) = value.char_indices().find(|(_, found)| !is_allowed(*found)) {
            return Err(SessionTagsError::ValueCharacter { key, position });
        }
        let folded = folded(&key);
        if self.tags.iter().any(|tag| tag.folded == folded) {
            return Err(SessionTagsError::Twice { key });
        }
        if self.tags.len() == MAX_TAGS {
            return Err(SessionTagsError::TooMany);
        }
        self.tags.push(Tag {
            key,
            folded,
            value,
            is_transitive,
        });
        Ok(self)
    }
}

/// Writes the claim's value.
impl Serialize for SessionTags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct PrincipalTags<'a>(&'a [Tag]);

        impl Serialize for PrincipalTags<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|tag| (&tag.key, [&tag.value])))
            }
        }

        struct TransitiveKeys<'a>(&'a [Tag]);

        impl Serialize for TransitiveKeys<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let transitive = self.0.iter().filter(|tag| tag.is_transitive);
                serializer.collect_seq(transitive.map(|tag| &tag.key))
            }
        }

        let mut claim = serializer.serialize_map(None)?;
        claim.serialize_entry("principal_tags", &PrincipalTags(&self.tags))?;
        if self.tags.iter().any(|tag| tag.is_transitive) {
            claim.serialize_entry("transitive_tag_keys", &TransitiveKeys(&self.tags))?;
        }
        claim.end()
    }
}

/// A key without its case. Readers fold letters outside ASCII in more than one way, so that more are
/// the same here than are for any of them.
pub(super) fn folded(key: &str) -> String {
    key.to_uppercase().to_lowercase()
}

fn check_key(key: &str) -> Result<(), SessionTagsError> {
    let len = key.chars().count();
    if len == 0 || len > MAX_KEY {
        return Err(SessionTagsError::KeyLength {
            start: key.chars().take(20).collect(),
            len,
        });
    }
    if let Some((position, _)) = key.char_indices().find(|(_, found)| !is_allowed(*found)) {
        return Err(SessionTagsError::KeyCharacter {
            key: key.to_owned(),
            position,
        });
    }
    if is_reserved(key) {
        return Err(SessionTagsError::Reserved {
            key: key.to_owned(),
        });
    }
    Ok(())
}

fn is_reserved(key: &str) -> bool {
    key.as_bytes()
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"aws:"))
}

/// Letters, separators and numbers by Unicode category, and some signs.
fn is_allowed(character: char) -> bool {
    if character.is_ascii() {
        return IS_ALLOWED_ASCII[character as usize];
    }
    matches!(
        character.general_category_group(),
        GeneralCategoryGroup::Letter
            | GeneralCategoryGroup::Number
            | GeneralCategoryGroup::Separator
    )
}

const IS_ALLOWED_ASCII: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b' ' | b'_' | b'.' | b':' | b'/' | b'=' | b'+' | b'-' | b'@'
            );
        byte += 1;
    }
    table
};

/// Whether the JSON is written as [`SessionTags`] writes it, of ASCII, and within the limits. What
/// is not may still be valid. It takes about as long as reading the JSON once, and no memory of the
/// heap: this is done for each token.
fn is_plainly_valid(json: &str) -> bool {
    plain_tags(json.as_bytes()).is_some()
}

fn plain_tags(json: &[u8]) -> Option<()> {
    let mut keys = [None; MAX_TAGS];
    let mut hashes = [0; MAX_TAGS];
    let mut count = 0;
    let mut rest = json.strip_prefix(br#"{"principal_tags":{"#)?;
    if rest == b"}}" {
        return Some(());
    }
    loop {
        let (key, behind) = plain_string(rest)?;
        let (value, behind) = plain_string(behind.strip_prefix(b":[")?)?;
        let is_fine = !key.is_empty()
            && key.len() <= MAX_KEY
            && value.len() <= MAX_VALUE
            && !(key.len() >= 4 && key[..4].eq_ignore_ascii_case(b"aws:"));
        if !is_fine {
            return None;
        }
        *keys.get_mut(count)? = Some(key);
        hashes[count] = folded_hash(key);
        count += 1;
        match behind.strip_prefix(b"]")? {
            [b',', behind @ ..] => rest = behind,
            [b'}', behind @ ..] => {
                rest = behind;
                break;
            }
            _ => return None,
        }
    }
    // Two hashes that are the same may be of two keys all the same, which is not plain any more.
    let hashes = &mut hashes[..count];
    hashes.sort_unstable();
    if hashes.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    if rest == b"}" {
        return Some(());
    }
    rest = rest.strip_prefix(br#","transitive_tag_keys":["#)?;
    // They stand in the order of the tags, so that each is looked for behind the one before.
    let mut later = keys.iter().flatten();
    loop {
        let text = rest.strip_prefix(b"\"")?;
        let after = |key: &&[u8]| text.strip_prefix(*key)?.strip_prefix(b"\"");
        let behind = later.find_map(after)?;
        match behind {
            [b',', behind @ ..] => rest = behind,
            b"]}" => return Some(()),
            _ => return None,
        }
    }
}

/// A hash of a key of allowed ASCII that takes no account of case.
fn folded_hash(key: &[u8]) -> u64 {
    // This bit is the case of a letter, and no two other allowed characters differ in it alone.
    const CASE: u64 = 0x2020_2020_2020_2020;
    // An odd number without a pattern: the golden ratio.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ (word | CASE)).wrapping_mul(FACTOR);
    let (words, end) = key.as_chunks();
    let hash = words.iter().fold(key.len() as u64, |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    mix(
        hash,
        end.iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    )
}

/// Takes a JSON string of allowed ASCII off the front.
#[inline]
fn plain_string(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = json.strip_prefix(b"\"")?;
    let is_allowed = |byte: &u8| IS_ALLOWED_ASCII[usize::from(*byte)];
    // Eight at a time, which is faster than one.
    let (words, _) = text.as_chunks::<8>();
    let whole = words
        .iter()
        .take_while(|word| word.iter().fold(true, |all, byte| all & is_allowed(byte)))
        .count();
    let len = 8 * whole
        + text[8 * whole..]
            .iter()
            .position(|byte| !is_allowed(byte))?;
    let (text, behind) = text.split_at(len);
    Some((text, behind.strip_prefix(b"\"")?))
}

/// Why AWS would refuse session tags.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionTagsError {
    /// There are more than 50.
    TooMany,
    /// A key is empty or longer than 128 characters.
    KeyLength {
        /// Its beginning.
        start: String,
        /// Its length in characters.
        len: usize,
    },
    /// A key has another character than letters, digits, spaces and `_.:/=+-@`.
    KeyCharacter {
        /// The key.
        key: String,
        /// Where the character stands, in bytes from 0.
        position: usize,
    },
    /// A key begins with `aws:`, in any case, which is reserved.
    Reserved {
        /// The key.
        key: String,
    },
    /// A key is there already, perhaps in another case.
    Twice {
        /// The key.
        key: String,
    },
    /// A value is longer than 256 characters.
    ValueLength {
        /// Its key.
        key: String,
        /// Its length in characters.
        len: usize,
    },
    /// A value has another character than letters, digits, spaces and `_.:/=+-@`.
    ValueCharacter {
        /// Its key.
        key: String,
        /// Where the character stands, in bytes from 0.
        position: usize,
    },
    /// A transitive key names no tag.
    NoSuchTag {
        /// The key.
        key: String,
    },
    /// An object has a member twice, of which readers take one or the other.
    RepeatedMember,
    /// The claim is not of the shape that AWS reads.
    Shape {
        /// The member where it is not; empty for the claim itself.
        place: String,
    },
}

impl fmt::Display for SessionTagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("session tags: ")?;
        match self {
            Self::TooMany => write!(f, "there are more than {MAX_TAGS}"),
            Self::KeyLength { start, len } => write!(
                f,
                "the key {start:?}… has {len} characters; 1 to {MAX_KEY} are allowed"
            ),
            Self::KeyCharacter { key, position } => write!(
                f,
                "the key {key:?} has another character than letters, digits, spaces and _.:/=+-@ at byte {position}"
            ),
            Self::Reserved { key } => {
                write!(
                    f,
                    "the key {key:?} begins with aws:, which AWS keeps for itself"
                )
            }
            Self::Twice { key } => write!(
                f,
                "the key {key:?} is there already; AWS takes no account of case"
            ),
            Self::ValueLength { key, len } => write!(
                f,
                "the value of {key:?} has {len} characters; at most {MAX_VALUE} are allowed"
            ),
            Self::ValueCharacter { key, position } => write!(
                f,
                "the value of {key:?} has another character than letters, digits, spaces and _.:/=+-@ at byte {position}"
            ),
            Self::NoSuchTag { key } => write!(f, "the transitive key {key:?} is that of no tag"),
            Self::RepeatedMember => {
                f.write_str("an object has the same member twice; write each once")
            }
            Self::Shape { place } if place.is_empty() => {
                f.write_str("the claim is no object with principal_tags")
            }
            Self::Shape { place } => write!(
                f,
                "{place:?} is not as in {{\"principal_tags\":{{\"key\":[\"value\"]}},\"transitive_tag_keys\":[\"key\"]}}"
            ),
        }
    }
}

impl std::error::Error for SessionTagsError {}
