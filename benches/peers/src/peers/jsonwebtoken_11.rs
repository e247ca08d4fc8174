//! jsonwebtoken 11, the current one, on both of its engines. It parses the key for each signature.

use std::sync::atomic::{AtomicBool, Ordering};

use jsonwebtoken::crypto::{CryptoProvider, aws_lc, rust_crypto};
use jsonwebtoken::{EncodingKey, Header, encode};

use crate::candidate::{Algorithm, Candidate, Case};
use crate::engines::Engine;
use crate::keys::jsonwebtoken_algorithm;

/// A process has one provider for good; ours asks this which of the library's two to go to.
static ON_RUST_CRYPTO: AtomicBool = AtomicBool::new(false);

/// Makes both engines of the library usable in this process, the second call doing nothing.
///
/// The price is one load from memory for each token.
pub(crate) fn install_provider() {
    let provider = CryptoProvider {
        signer_factory: |algorithm, key| {
            if ON_RUST_CRYPTO.load(Ordering::Relaxed) {
                (rust_crypto::DEFAULT_PROVIDER.signer_factory)(algorithm, key)
            } else {
                (aws_lc::DEFAULT_PROVIDER.signer_factory)(algorithm, key)
            }
        },
        ..aws_lc::DEFAULT_PROVIDER.clone()
    };
    // It fails where a provider is installed already, which is the same one.
    let _ = Box::leak(Box::new(provider)).install_default();
}

pub(crate) fn candidates(case: Case<'_>) -> Vec<Candidate> {
    let rust_crypto = match case.algorithm {
        Algorithm::Es256 => Engine::P256V013,
        Algorithm::EdDsa => Engine::Dalek,
        Algorithm::Rs256 => Engine::RsaBlinded,
    };
    vec![
        candidate("jsonwebtoken 11 (aws-lc-rs)", Engine::AwsLcRs, false, case),
        candidate("jsonwebtoken 11 (RustCrypto)", rust_crypto, true, case),
    ]
}

fn candidate(
    name: &'static str,
    engine: Engine,
    on_rust_crypto: bool,
    case: Case<'_>,
) -> Candidate {
    let key = match case.algorithm {
        Algorithm::Es256 => EncodingKey::from_ec_der(&case.key.pkcs8),
        Algorithm::EdDsa => EncodingKey::from_ed_der(&case.key.pkcs8),
        Algorithm::Rs256 => EncodingKey::from_rsa_der(&case.key.traditional),
    };
    let mut header = Header::new(jsonwebtoken_algorithm(case.algorithm));
    header.kid = Some(case.key.kid.clone());
    let request = case.request;
    Candidate::peer(name, engine, move |token| {
        ON_RUST_CRYPTO.store(on_rust_crypto, Ordering::Relaxed);
        *token = encode(&header, &request.claims()?, &key)?;
        Ok(())
    })
}
