//! What is fuzzed, and what must hold whatever the bytes.
//!
//! Each target is a plain function, so that the seeds and whatever a fuzzer found are replayed as
//! an ordinary test: `cargo test --no-default-features` in this folder.

mod claims;
mod der_signature;
mod issuer_url;
mod jwk;
mod key_import;
mod manifest;
mod pkcs11_uri;
mod policy;
mod session_tags;
mod support;
mod template;
mod verifier;

pub use crate::claims::claims;
pub use crate::der_signature::der_signature;
pub use crate::issuer_url::issuer_url;
pub use crate::jwk::jwk;
pub use crate::key_import::key_import;
pub use crate::manifest::manifest;
pub use crate::pkcs11_uri::pkcs11_uri;
pub use crate::policy::policy;
pub use crate::session_tags::session_tags;
pub use crate::template::template;
pub use crate::verifier::verifier;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    fn replay(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(target);
        let mut seeds: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "{} is empty", folder.display());
        for seed in seeds {
            println!("{}", seed.display());
            run(&fs::read(seed).unwrap());
        }
    }

    #[test]
    fn claims() {
        replay("claims", super::claims);
    }

    #[test]
    fn der_signature() {
        replay("der_signature", super::der_signature);
    }

    #[test]
    fn issuer_url() {
        replay("issuer_url", super::issuer_url);
    }

    #[test]
    fn jwk() {
        replay("jwk", super::jwk);
    }

    #[test]
    fn key_import() {
        replay("key_import", super::key_import);
    }

    #[test]
    fn manifest() {
        replay("manifest", super::manifest);
    }

    #[test]
    fn pkcs11_uri() {
        replay("pkcs11_uri", super::pkcs11_uri);
    }

    #[test]
    fn policy() {
        replay("policy", super::policy);
    }

    #[test]
    fn session_tags() {
        replay("session_tags", super::session_tags);
    }

    #[test]
    fn template() {
        replay("template", super::template);
    }

    #[test]
    fn verifier() {
        replay("verifier", super::verifier);
    }
}
