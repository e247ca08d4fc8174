//! The OpenSSL command line, which knows nothing of JOSE: keys go in as SPKI, ECDSA signatures as
//! DER.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use chancery::{Algorithm, Curve, HashAlgorithm, Jwk, KeyType, PublicKey};

use crate::jws::decode;
use crate::pem::pem;

/// Whether it takes the token's signature for one of the key; the claims it does not read.
pub fn verifies(folder: &Folder, jwk: &Jwk, token: &str) -> bool {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = decode(signature);
    let signature = match jwk.public_key() {
        PublicKey::Ec { .. } => ecdsa_sig_value(&signature),
        _ => signature,
    };
    let key = folder.write(
        "key.pem",
        pem("PUBLIC KEY", &subject_public_key_info(jwk)).as_bytes(),
    );
    let input = folder.write("input", input.as_bytes());
    let signature = folder.write("signature", &signature);

    let mut openssl = Command::new("openssl");
    if jwk.algorithm().key_type() == KeyType::Ed25519 {
        openssl
            .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
            .arg(key);
        openssl.arg("-sigfile").arg(signature).arg("-in").arg(input);
    } else {
        let (hash, salt) = match jwk.algorithm().hash() {
            HashAlgorithm::Sha256 => ("-sha256", 32),
            HashAlgorithm::Sha384 => ("-sha384", 48),
            HashAlgorithm::Sha512 => ("-sha512", 64),
        };
        openssl.args(["dgst", hash, "-verify"]).arg(key);
        if matches!(
            jwk.algorithm(),
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512
        ) {
            openssl.args(["-sigopt", "rsa_padding_mode:pss"]);
            openssl.args(["-sigopt", &format!("rsa_pss_saltlen:{salt}")]);
        }
        openssl.arg("-signature").arg(signature).arg(input);
    }
    let output = openssl
        .output()
        .unwrap_or_else(|error| panic!("{openssl:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // Any other failure, such as a key it cannot read, is not a refusal.
    let refused = ["Verification failure", "Signature Verification Failure"];
    let accepted = ["Verified OK", "Signature Verified Successfully"];
    if output.status.success() {
        assert!(accepted.contains(&said.trim()), "{openssl:?}: {said}");
        true
    } else {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            refused.contains(&said.trim()),
            "{openssl:?}: {said} {errors}"
        );
        false
    }
}

fn subject_public_key_info(jwk: &Jwk) -> Vec<u8> {
    const NULL: [u8; 2] = [5, 0];
    let (algorithm, key) = match jwk.public_key() {
        PublicKey::Ec { curve, point } => {
            let curve = match curve {
                Curve::P256 => oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]),
                Curve::P384 => oid(&[0x2b, 0x81, 0x04, 0x00, 0x22]),
                Curve::P521 => oid(&[0x2b, 0x81, 0x04, 0x00, 0x23]),
            };
            let ec = oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]);
            ([ec, curve].concat(), point.clone())
        }
        PublicKey::Rsa { modulus, exponent } => {
            let rsa = oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]);
            let numbers = [integer(modulus), integer(exponent)].concat();
            ([rsa, NULL.to_vec()].concat(), tlv(0x30, &numbers))
        }
        PublicKey::Ed25519(point) => (oid(&[0x2b, 0x65, 0x70]), point.to_vec()),
        other => panic!("no SPKI of {other:?}"),
    };
    let bits = [&[0], key.as_slice()].concat();
    tlv(0x30, &[tlv(0x30, &algorithm), tlv(0x03, &bits)].concat())
}

fn ecdsa_sig_value(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    tlv(0x30, &[integer(r), integer(s)].concat())
}

fn oid(arcs: &[u8]) -> Vec<u8> {
    tlv(0x06, arcs)
}

fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    let digits = &number[zeros.min(number.len() - 1)..];
    if digits[0] < 0x80 {
        tlv(0x02, digits)
    } else {
        tlv(0x02, &[&[0], digits].concat())
    }
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
    let head = match value.len() {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&head, value].concat()
}

/// Where it finds what it is asked about. It goes away.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it.
    pub fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
