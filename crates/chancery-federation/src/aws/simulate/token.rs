//! The token itself: its issuer and its signature.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chancery_core::Algorithm;
use chancery_software::{VerifyError, verify_jws};
use serde_json::{Map, Value};

use super::outcome::{Denial, DenialReason, Doubt, ErrorCode, Outcome};
use crate::aws::policy::repeats_member;
use crate::aws::provider::Provider;

/// The signature algorithms that AWS takes (IAM User Guide, "Create an OpenID Connect identity
/// provider in IAM").
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
];

const NO_KEY: &str = "Couldn't retrieve verification key from your identity provider";

/// The claims of a token that the provider's keys verify.
pub(super) fn verify(provider: &Provider, token: &str) -> Result<Map<String, Value>, Box<Outcome>> {
    let len = token.chars().count();
    if !(4..=20_000).contains(&len) {
        return Err(denied(Denial {
            code: ErrorCode::ValidationError,
            message: None,
            reason: DenialReason::TokenLength { len },
        }));
    }
    let not_a_token = || denied(*Denial::invalid(None, DenialReason::NotAToken));
    let claims = unverified_claims(token).ok_or_else(not_a_token)?;
    // The issuer comes first: it says where AWS looks for the keys.
    super::claims::check_issuer(provider, &claims).map_err(|denial| denied(*denial))?;
    let no_key = |message: String| {
        denied(*Denial::invalid(
            Some(NO_KEY.to_owned()),
            DenialReason::Key { message },
        ))
    };
    let Some(keys) = provider.keys() else {
        let message = "the provider has no keys; give them with Provider::with_keys";
        return Err(no_key(message.to_owned()));
    };
    match verify_jws(token, keys) {
        Ok(jws) if repeats_member(jws.payload()) => {
            Err(Box::new(Outcome::Indeterminate(Doubt::RepeatedClaim)))
        }
        Ok(jws) if ALGORITHMS.contains(&jws.algorithm()) => Ok(claims),
        Ok(jws) => Err(no_key(format!(
            "AWS takes no {} keys; sign with ES256 or RS256",
            jws.algorithm()
        ))),
        Err(VerifyError::Signature) => Err(denied(*Denial::invalid(None, DenialReason::Signature))),
        Err(VerifyError::UnsupportedAlgorithm { .. }) => {
            Err(Box::new(Outcome::Indeterminate(Doubt::Algorithm)))
        }
        Err(
            error @ (VerifyError::UnknownKid
            | VerifyError::KidMissing
            | VerifyError::Algorithm { .. }),
        ) => Err(no_key(error.to_string())),
        Err(_) => Err(not_a_token()),
    }
}

fn denied(denial: Denial) -> Box<Outcome> {
    Box::new(Outcome::Denied(denial))
}

fn unverified_claims(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    let json = Base64UrlUnpadded::decode_vec(payload).ok()?;
    serde_json::from_slice(&json).ok()
}
