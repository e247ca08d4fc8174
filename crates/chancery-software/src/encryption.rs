//! Encrypted PKCS#8 (RFC 5958 §3) under PBES2 (RFC 8018 §6.2).

use pkcs8::der::asn1::ObjectIdentifier;
use pkcs8::der::pem::{LineEnding, PemLabel as _};
use pkcs8::der::{self, Decode as _, Reader as _, SliceReader};
use pkcs8::pkcs5::pbes2::{Kdf, PBES2_OID, Parameters};
use pkcs8::pkcs5::scrypt::Params;
use pkcs8::pkcs5::{self, EncryptionScheme};
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use zeroize::Zeroizing;

use crate::key_error::{Asn1Error, KeyError};

/// The scrypt parameters of keys that are stored: N = 2¹⁴, r = 8, p = 5.
///
/// They cost an attacker as much as N = 2¹⁷ and p = 1 do (OWASP Password Storage Cheat Sheet), in
/// 16 MiB. OpenSSL refuses to use the 32 MiB that N = 2¹⁵ takes, and an operator must be able to
/// open the file with it.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 5;

/// What a file may ask for before it is taken for an attempt to exhaust the machine: 256 MiB, as
/// many times over as make 2 GiB, and 10 million rounds of PBKDF2.
const MAX_SCRYPT_BYTES: u64 = 256 << 20;
const MAX_SCRYPT_WORK: u64 = 2 << 30;
const MAX_PBKDF2_ROUNDS: u32 = 10_000_000;

/// Decrypts an `EncryptedPrivateKeyInfo` into the bytes of a `PrivateKeyInfo`.
pub(crate) fn decrypt(bytes: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let scheme = encryption_scheme(bytes).map_err(malformed)?;
    let info = EncryptedPrivateKeyInfo::from_der(bytes).map_err(|error| {
        // The structure is sound; what its algorithm says is not known here.
        if scheme == PBES2_OID && !matches!(error.kind(), der::ErrorKind::OidUnknown { .. }) {
            malformed(error)
        } else {
            KeyError::UnsupportedEncryption
        }
    })?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(KeyError::UnsupportedEncryption);
    };
    check_cost(&parameters.kdf)?;
    let mut buffer = Zeroizing::new(info.encrypted_data.to_vec());
    let len = parameters
        .decrypt_in_place(password, &mut buffer)
        .map_err(|error| match error {
            pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs5::Error::AlgorithmParametersInvalid { .. }
            | pkcs5::Error::NoPbes1CryptSupport => KeyError::UnsupportedEncryption,
            _ => KeyError::WrongPassword,
        })?
        .len();
    buffer.truncate(len);
    // About one wrong password in 256 leaves the padding intact, and garbage before it.
    if PrivateKeyInfo::from_der(&buffer).is_err() {
        return Err(KeyError::WrongPassword);
    }
    Ok(buffer)
}

/// Encrypts the bytes of a `PrivateKeyInfo` with AES-256-CBC under scrypt, as PEM.
pub(crate) fn encrypt_to_pem(pkcs8: &[u8], password: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    getrandom::getrandom(&mut salt).map_err(|_| KeyError::Random)?;
    getrandom::getrandom(&mut iv).map_err(|_| KeyError::Random)?;
    let cost = Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P, Params::RECOMMENDED_LEN)
        .map_err(|_| KeyError::Encode)?;
    let encode = || -> pkcs8::Result<Zeroizing<String>> {
        let parameters = Parameters::scrypt_aes256cbc(cost, &salt, &iv)?;
        let encrypted =
            PrivateKeyInfo::from_der(pkcs8)?.encrypt_with_params(parameters, password)?;
        Ok(encrypted.to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF)?)
    };
    encode().map_err(|_| KeyError::Encode)
}

fn check_cost(kdf: &Kdf<'_>) -> Result<(), KeyError> {
    match kdf {
        Kdf::Scrypt(parameters) => {
            let n = parameters.cost_parameter;
            // A power of two is asked for further down, where zero would overflow.
            if n < 2 {
                return Err(KeyError::UnsupportedEncryption);
            }
            // scrypt holds one table of 128·N·r bytes at a time, and p blocks of 128·r bytes.
            let (r, p) = (parameters.block_size, parameters.parallelization);
            let bytes = |blocks: Option<u64>| blocks?.checked_mul(128)?.checked_mul(r.into());
            let memory = bytes(n.checked_add(p.into()));
            let work = bytes(n.checked_mul(p.into()));
            match (memory, work) {
                (Some(memory), Some(work))
                    if memory <= MAX_SCRYPT_BYTES && work <= MAX_SCRYPT_WORK =>
                {
                    Ok(())
                }
                _ => Err(KeyError::EncryptionCost),
            }
        }
        Kdf::Pbkdf2(parameters) if parameters.iteration_count > MAX_PBKDF2_ROUNDS => {
            Err(KeyError::EncryptionCost)
        }
        Kdf::Pbkdf2(_) => Ok(()),
        _ => Err(KeyError::UnsupportedEncryption),
    }
}

/// The object identifier at the head of an `EncryptedPrivateKeyInfo`.
fn encryption_scheme(bytes: &[u8]) -> der::Result<ObjectIdentifier> {
    let mut reader = SliceReader::new(bytes)?;
    let oid = reader.sequence(|info| {
        let oid = info.sequence(|algorithm| {
            let oid = ObjectIdentifier::decode(algorithm)?;
            while !algorithm.is_finished() {
                algorithm.tlv_bytes()?;
            }
            Ok(oid)
        })?;
        info.tlv_bytes()?;
        Ok(oid)
    })?;
    reader.finish(oid)
}

fn malformed(error: der::Error) -> KeyError {
    KeyError::Der {
        structure: "PKCS#8 EncryptedPrivateKeyInfo",
        source: Asn1Error(error),
    }
}
