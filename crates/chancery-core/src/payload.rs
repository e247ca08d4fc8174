//! Writes claims as JSON and encodes them on the way, straight into the token.

use crate::algorithm::HashAlgorithm;
use crate::base64url;
use crate::claims::{Claims, ClaimsError};
use crate::json_value::is_plain;
use crate::time::UnixTime;
use crate::token_id;
use crate::token_type::TokenType;

/// Marks a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4).
const LOGOUT_EVENT: &[u8] =
    br#","events":{"http://schemas.openid.net/event/backchannel-logout":{}}"#;

/// What the issuer adds to the claims.
pub(crate) struct Issued<'a> {
    /// `{"iss":"…"`, the issuer's own bytes.
    pub(crate) prefix: &'a str,
    /// The hash of the signing algorithm, for `at_hash` and `c_hash`.
    pub(crate) hash: HashAlgorithm,
    pub(crate) issued_at: UnixTime,
    pub(crate) not_before: UnixTime,
    pub(crate) expires: UnixTime,
}

/// Appends the payload in base64url to `out`.
pub(crate) fn append(
    claims: &Claims,
    issued: &Issued<'_>,
    out: &mut Vec<u8>,
) -> Result<(), PayloadError> {
    let mut writer = Writer::new(out);
    writer.raw(issued.prefix.as_bytes());
    writer.optional(br#","sub":"#, claims.subject.as_deref())?;
    write_audiences(claims, &mut writer)?;
    writer.number(br#","iat":"#, issued.issued_at);
    writer.number(br#","nbf":"#, issued.not_before);
    writer.number(br#","exp":"#, issued.expires);
    match &claims.token_id {
        Some(token_id) => writer.member(br#","jti":"#, token_id)?,
        None => writer.random_token_id(issued.issued_at)?,
    }
    writer.optional(br#","azp":"#, claims.authorized_party.as_deref())?;
    writer.optional(br#","client_id":"#, claims.client_id.as_deref())?;
    writer.optional(br#","scope":"#, claims.scope.as_deref())?;
    writer.optional(br#","nonce":"#, claims.nonce.as_deref())?;
    if let Some(auth_time) = claims.auth_time {
        writer.number(br#","auth_time":"#, auth_time);
    }
    writer.optional(br#","acr":"#, claims.acr.as_deref())?;
    if !claims.amr.is_empty() {
        writer.array(br#","amr":"#, &claims.amr)?;
    }
    if let Some(access_token) = &claims.access_token {
        writer.hash(br#","at_hash":"#, issued.hash, access_token)?;
    }
    if let Some(code) = &claims.code {
        writer.hash(br#","c_hash":"#, issued.hash, code)?;
    }
    writer.optional(br#","sid":"#, claims.session_id.as_deref())?;
    writer.optional(br#","name":"#, claims.name.as_deref())?;
    writer.optional(br#","email":"#, claims.email.as_deref())?;
    if let Some(verified) = claims.email_verified {
        writer.raw(if verified {
            br#","email_verified":true"#
        } else {
            br#","email_verified":false"#
        });
    }
    if claims.token_type == TokenType::Logout {
        writer.raw(LOGOUT_EVENT);
    }
    writer.raw(claims.private.json());
    writer.raw(b"}");
    writer.finish();
    Ok(())
}

/// An upper estimate of the JSON's length, so that one allocation holds the token. Where many
/// characters need escaping it falls short, and costs a second allocation.
pub(crate) fn estimated_len(claims: &Claims, prefix: &str) -> usize {
    // The names, times and punctuation of all registered claims together take less than this.
    const FIXED: usize = 512;
    let mut len = FIXED + prefix.len() + claims.private.json().len();
    for text in [
        &claims.subject,
        &claims.token_id,
        &claims.authorized_party,
        &claims.client_id,
        &claims.scope,
        &claims.nonce,
        &claims.acr,
        &claims.session_id,
        &claims.name,
        &claims.email,
    ] {
        len += text.as_ref().map_or(0, String::len);
    }
    for text in claims.audiences.iter().chain(&claims.amr) {
        len += text.len() + 3;
    }
    len
}

pub(crate) enum PayloadError {
    Claims(ClaimsError),
    /// The operating system gave no random bytes.
    Random(getrandom::Error),
}

impl From<ClaimsError> for PayloadError {
    fn from(error: ClaimsError) -> Self {
        Self::Claims(error)
    }
}

/// One audience is a string: two of Google's libraries refuse an array even of one element.
fn write_audiences(claims: &Claims, writer: &mut Writer<'_>) -> Result<(), ClaimsError> {
    match claims.audiences.as_slice() {
        [] => Err(ClaimsError::Missing {
            claim: "aud",
            token_type: claims.token_type,
        }),
        [audience] => writer.member(br#","aud":"#, audience),
        several => writer.array(br#","aud":"#, several),
    }
}

/// Encodes JSON in whole groups of three bytes, through a buffer on the stack.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    stage: [u8; STAGE],
    len: usize,
}

/// A multiple of 3, so that no group is torn, and large enough for the vectorised encoder.
const STAGE: usize = 768;

impl<'a> Writer<'a> {
    const fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            stage: [0; STAGE],
            len: 0,
        }
    }

    fn raw(&mut self, mut bytes: &[u8]) {
        while bytes.len() > STAGE - self.len {
            let (head, tail) = bytes.split_at(STAGE - self.len);
            self.stage[self.len..].copy_from_slice(head);
            base64url::append(&self.stage, self.out);
            self.len = 0;
            bytes = tail;
        }
        self.stage[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn finish(self) {
        base64url::append(&self.stage[..self.len], self.out);
    }

    fn number(&mut self, name: &[u8], time: UnixTime) {
        self.raw(name);
        self.raw(itoa::Buffer::new().format(time.as_secs()).as_bytes());
    }

    fn optional(&mut self, key: &'static [u8], value: Option<&str>) -> Result<(), ClaimsError> {
        value.map_or(Ok(()), |value| self.member(key, value))
    }

    /// Writes a member; the key is rendered ahead, as `,"name":`.
    fn member(&mut self, key: &'static [u8], value: &str) -> Result<(), ClaimsError> {
        self.raw(key);
        self.string(key, value)
    }

    fn array(&mut self, key: &'static [u8], values: &[String]) -> Result<(), ClaimsError> {
        self.raw(key);
        for (index, value) in values.iter().enumerate() {
            self.raw(if index == 0 { b"[" } else { b"," });
            self.string(key, value)?;
        }
        self.raw(b"]");
        Ok(())
    }

    /// Writes a JSON string (RFC 8259 §7) that is neither empty nor has control characters.
    fn string(&mut self, key: &'static [u8], value: &str) -> Result<(), ClaimsError> {
        if value.is_empty() {
            return Err(ClaimsError::Empty { claim: name(key) });
        }
        // Nearly all claims are plain, and fit.
        if !is_plain(value.as_bytes()) {
            self.raw(b"\"");
            self.escaped(key, value)?;
            self.raw(b"\"");
        } else if let Some(free) = self.stage.get_mut(self.len..self.len + value.len() + 2) {
            free[0] = b'"';
            free[1..=value.len()].copy_from_slice(value.as_bytes());
            free[value.len() + 1] = b'"';
            self.len += value.len() + 2;
        } else {
            self.raw(b"\"");
            self.raw(value.as_bytes());
            self.raw(b"\"");
        }
        Ok(())
    }

    #[cold]
    fn escaped(&mut self, key: &'static [u8], value: &str) -> Result<(), ClaimsError> {
        for (position, character) in value.char_indices() {
            match character {
                '"' => self.raw(br#"\""#),
                '\\' => self.raw(br"\\"),
                control if control.is_control() => {
                    return Err(ClaimsError::ControlCharacter {
                        claim: name(key),
                        position,
                    });
                }
                other => self.raw(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Ok(())
    }

    fn random_token_id(&mut self, now: UnixTime) -> Result<(), PayloadError> {
        let random = token_id::random(now).map_err(PayloadError::Random)?;
        self.raw(br#","jti":""#);
        self.encoded(&random);
        self.raw(b"\"");
        Ok(())
    }

    fn hash(
        &mut self,
        key: &'static [u8],
        hash: HashAlgorithm,
        secret: &str,
    ) -> Result<(), ClaimsError> {
        if secret.is_empty() {
            return Err(ClaimsError::Empty { claim: name(key) });
        }
        self.raw(key);
        self.raw(b"\"");
        self.encoded(hash.digest(secret.as_bytes()).left_half());
        self.raw(b"\"");
        Ok(())
    }

    /// Writes at most 32 bytes in base64url.
    fn encoded(&mut self, bytes: &[u8]) {
        let mut text = [0; 43];
        self.raw(base64url::encode_short(bytes, &mut text));
    }
}

/// The claim's name in a key that was rendered ahead.
fn name(key: &'static [u8]) -> &'static str {
    // The keys are literals of this file, all ASCII.
    let key = std::str::from_utf8(key).unwrap_or_default();
    key.trim_start_matches(",\"").trim_end_matches("\":")
}
