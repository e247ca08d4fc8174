//! Looks at what a candidate makes before it is measured: only whole tokens are compared.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, Header, Validation, decode};
use serde_json::{Map, Value};

use crate::candidate::{Algorithm, Candidate, Case, Failure};
use crate::claims::{LIFETIME, Payload, unix_time};
use crate::keys::jsonwebtoken_algorithm;

/// By how much a candidate may backdate `iat` and `nbf`, in seconds.
const BACKDATING: u64 = 60;

/// Checks two tokens of a candidate: signature, header, length of the payload, claims, and that
/// nothing is handed out twice.
pub(crate) fn check(
    candidate: &mut Candidate,
    case: Case<'_>,
    payload: Payload,
) -> Result<(), Failure> {
    let name = candidate.name;
    let fault = |problem| Fault { name, problem };
    let mut token = String::new();
    (candidate.task)(&mut token)?;
    let first = check_token(&token, case, payload).map_err(fault)?;
    (candidate.task)(&mut token)?;
    let second = check_token(&token, case, payload).map_err(fault)?;
    if first == second {
        return Err(fault(format!("the jti {first} was given out twice")).into());
    }
    Ok(())
}

/// Checks one token and tells its `jti`.
fn check_token(token: &str, case: Case<'_>, payload: Payload) -> Result<String, String> {
    let part = token.split('.').nth(1).unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(part).map_err(text)?;
    if json.len() != payload.len() {
        let (found, expected) = (json.len(), payload.len());
        return Err(format!("the payload has {found} bytes, not {expected}"));
    }
    let (header, claims) = verify(token, case)?;
    if header.kid.as_deref() != Some(&case.key.kid) || header.typ.as_deref() != Some("JWT") {
        return Err(format!("the header lacks kid or typ: {header:?}"));
    }
    check_claims(claims, case)
}

/// The signature, with jsonwebtoken on aws-lc-rs.
fn verify(token: &str, case: Case<'_>) -> Result<(Header, Map<String, Value>), String> {
    let public = &case.key.public;
    let key = match case.algorithm {
        Algorithm::Es256 => DecodingKey::from_ec_der(public),
        Algorithm::EdDsa => DecodingKey::from_ed_der(public),
        Algorithm::Rs256 => DecodingKey::from_rsa_der(public),
    };
    let mut validation = Validation::new(jsonwebtoken_algorithm(case.algorithm));
    validation.set_audience(&[case.request.audience]);
    validation.set_issuer(&[case.request.issuer]);
    validation.validate_nbf = true;
    let token = decode(token, &key, &validation).map_err(text)?;
    Ok((token.header, token.claims))
}

fn check_claims(mut claims: Map<String, Value>, case: Case<'_>) -> Result<String, String> {
    let now = unix_time().map_err(text)?;
    for (name, earliest, latest) in [
        ("iat", now - BACKDATING, now),
        ("nbf", now - BACKDATING, now),
        ("exp", now + LIFETIME - BACKDATING, now + LIFETIME),
    ] {
        let time = claims.remove(name).and_then(|time| time.as_u64());
        if !time.is_some_and(|time| (earliest..=latest).contains(&time)) {
            return Err(format!("{name} is {time:?} at {now}"));
        }
    }
    let Some(Value::String(jti)) = claims.remove("jti") else {
        return Err("jti is missing".to_owned());
    };
    let expected = case.request.claims().map_err(text)?;
    let Value::Object(mut expected) = serde_json::to_value(expected).map_err(text)? else {
        return Err("the claims are no object".to_owned());
    };
    expected.retain(|name, _| !matches!(name.as_str(), "iat" | "nbf" | "exp" | "jti"));
    if claims != expected {
        return Err(format!("the claims are {claims:?}, not {expected:?}"));
    }
    Ok(jti)
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

/// What is wrong with a candidate's token.
#[derive(Debug)]
struct Fault {
    name: &'static str,
    problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, problem } = self;
        write!(f, "{name} makes a token that cannot be compared: {problem}")
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, encode};

    use super::*;
    use crate::claims::Request;
    use crate::engines::Engine;
    use crate::keys::Key;
    use crate::peers::install_provider;

    /// What the check says of tokens whose claims, header and text were changed on the way.
    fn verdict(
        claims: impl Fn(&mut Map<String, Value>) + 'static,
        header: impl Fn(&mut Header) + 'static,
        token: impl Fn(&mut String) + 'static,
    ) -> String {
        install_provider();
        let key = Key::generate(Algorithm::Es256).unwrap();
        let request = Request::new(Payload::Plain);
        let case = Case {
            algorithm: Algorithm::Es256,
            key: &key,
            request,
        };
        let signing = EncodingKey::from_ec_der(&key.pkcs8);
        let kid = key.kid.clone();
        let mut candidate = Candidate::peer("candidate", Engine::AwsLcRs, move |out| {
            let mut changed = serde_json::to_value(request.claims()?)?;
            claims(changed.as_object_mut().unwrap());
            let mut prepared = Header::new(jsonwebtoken::Algorithm::ES256);
            prepared.kid = Some(kid.clone());
            header(&mut prepared);
            *out = encode(&prepared, &changed, &signing)?;
            token(out);
            Ok(())
        });
        match check(&mut candidate, case, Payload::Plain) {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_whole_token_passes() {
        assert_eq!(verdict(|_| (), |_| (), |_| ()), "fine");
    }

    #[test]
    fn a_signature_that_does_not_verify_is_found() {
        let swap = |token: &mut String| {
            let last = if token.pop() == Some('A') { 'Q' } else { 'A' };
            token.push(last);
        };
        let found = verdict(|_| (), |_| (), swap);
        assert!(found.contains("InvalidSignature"), "{found}");
    }

    #[test]
    fn another_length_is_found() {
        let found = verdict(|claims| drop(claims.remove("nbf")), |_| (), |_| ());
        assert!(found.contains("bytes, not 654"), "{found}");
    }

    #[test]
    fn another_claim_is_found() {
        let found = verdict(
            |claims| claims["runType"] = "PLANNED".into(),
            |_| (),
            |_| (),
        );
        assert!(found.contains("the claims are"), "{found}");
    }

    #[test]
    fn old_times_are_found() {
        let found = verdict(
            |claims| claims["iat"] = 1_000_000_000.into(),
            |_| (),
            |_| (),
        );
        assert!(found.contains("iat is Some(1000000000)"), "{found}");
    }

    #[test]
    fn a_missing_kid_is_found() {
        let found = verdict(|_| (), |header| header.kid = None, |_| ());
        assert!(found.contains("lacks kid or typ"), "{found}");
    }

    #[test]
    fn a_jti_given_out_twice_is_found() {
        let jti = "AAAAAAAAAAAAAAAAAAAAAA";
        let found = verdict(move |claims| claims["jti"] = jti.into(), |_| (), |_| ());
        assert!(found.contains("given out twice"), "{found}");
    }
}
