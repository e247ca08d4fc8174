//! A device, opened with an authentication key.

use std::sync::Arc;

use chancery_core::Algorithm;
use chancery_software::PrivateKey;

use crate::Password;
use crate::access::Access;
use crate::connector::Route;
use crate::error::{DeviceCode, Holder, YubiHsmError};
use crate::key::{self, NewKey, YubiHsmKey};
use crate::link::Link;
use crate::object::{self, Capability, Info};
use crate::signer::SignerBuilder;
use crate::wire;

/// A YubiHSM 2, opened with an authentication key.
///
/// Clones are the same device: they share the sessions that this process may have
/// ([`MOST_SESSIONS`](crate::MOST_SESSIONS)), and what is known about the password. No session is
/// held but while a method runs; signers hold their own.
#[derive(Clone, Debug)]
pub struct YubiHsm {
    pub(crate) access: Arc<Access>,
}

impl YubiHsm {
    /// Opens the device behind a yubihsm-connector, at `http://host:port`.
    ///
    /// The connector sees only what is encrypted between the device and this process.
    ///
    /// # Errors
    /// [`YubiHsmError`] when the address is none, the password cannot be read or is wrong, or the
    /// device cannot be reached.
    pub fn http(
        connector: &str,
        authentication_key: u16,
        password: &Password,
    ) -> Result<Self, YubiHsmError> {
        Self::open(Route::http(connector)?, authentication_key, password)
    }

    /// Opens the device in a USB port of this machine: the one with the serial number, or the only
    /// one. No connector and no other process can use it meanwhile.
    ///
    /// # Errors
    /// [`YubiHsmError`] when the serial number is none, the password cannot be read or is wrong,
    /// or the device cannot be reached.
    #[cfg(feature = "usb")]
    pub fn usb(
        serial: Option<&str>,
        authentication_key: u16,
        password: &Password,
    ) -> Result<Self, YubiHsmError> {
        Self::open(Route::usb(serial)?, authentication_key, password)
    }

    fn open(
        route: Route,
        authentication_key: u16,
        password: &Password,
    ) -> Result<Self, YubiHsmError> {
        let access = Arc::new(Access::new(route, authentication_key, password)?);
        // A wrong password is told now, rather than when it is needed.
        drop(Link::open(&access)?);
        Ok(Self { access })
    }

    /// The signing keys that the authentication key sees, by identifier. Keys of other kinds, such
    /// as secp256k1, are left out.
    ///
    /// # Errors
    /// [`YubiHsmError`] when the device cannot be asked.
    pub fn keys(&self) -> Result<Vec<YubiHsmKey>, YubiHsmError> {
        read_all(&mut Link::open(&self.access)?)
    }

    /// Generates a key for the algorithm, which never leaves the device unless it was asked to be
    /// exportable.
    ///
    /// # Errors
    /// [`YubiHsmError::MissingCapability`] names what the authentication key lacks:
    /// `generate-asymmetric-key`, or the right to give the key its own capabilities;
    /// [`YubiHsmError::MissingDomains`] when the key is to be in domains that it is not in.
    pub fn generate(&self, algorithm: Algorithm, new: &NewKey) -> Result<YubiHsmKey, YubiHsmError> {
        let link = &mut Link::open(&self.access)?;
        let capabilities = new.capabilities(algorithm)?;
        let own = self.require(link, Capability::GenerateAsymmetricKey, &capabilities)?;
        let parameters = new.parameters(algorithm, &own)?;
        let body = link.command(wire::GENERATE_ASYMMETRIC_KEY, &parameters);
        self.read_made(link, made(body)?)
    }

    /// Imports a private key in the clear; the secure channel to the device encrypts it. It is
    /// known outside of the device, so generate keys where that is possible.
    ///
    /// # Errors
    /// [`YubiHsmError::MissingCapability`] names what the authentication key lacks:
    /// `put-asymmetric-key`, or the right to give the key its own capabilities;
    /// [`YubiHsmError::MissingDomains`] when the key is to be in domains that it is not in;
    /// [`YubiHsmError::NewKey`] when the key is not P-256, P-384 or Ed25519.
    pub fn import(&self, key: &PrivateKey, new: &NewKey) -> Result<YubiHsmKey, YubiHsmError> {
        let (algorithm, secret) = key::secret(key)?;
        let link = &mut Link::open(&self.access)?;
        let capabilities = new.capabilities(algorithm)?;
        let own = self.require(link, Capability::PutAsymmetricKey, &capabilities)?;
        let mut parameters = zeroize::Zeroizing::new(new.parameters(algorithm, &own)?);
        // A vector that grows leaves a copy behind.
        parameters.reserve_exact(secret.len());
        parameters.extend_from_slice(&secret);
        let body = link.command(wire::PUT_ASYMMETRIC_KEY, &parameters);
        self.read_made(link, made(body)?)
    }

    /// Imports a key that a device exported under a wrap key, with all it had there: identifier,
    /// label, domains and capabilities. `wrapped` is the nonce and the ciphertext, of which
    /// `yubihsm-shell` writes the base64.
    ///
    /// # Errors
    /// [`YubiHsmError`] when the authentication key lacks `import-wrapped`, the wrap key does not
    /// fit, or what is wrapped is no signing key.
    pub fn import_wrapped(
        &self,
        wrap_key: u16,
        wrapped: &[u8],
    ) -> Result<YubiHsmKey, YubiHsmError> {
        let link = &mut Link::open(&self.access)?;
        self.require(link, Capability::ImportWrapped, &[])?;
        let command = [&wrap_key.to_be_bytes(), wrapped].concat();
        let body = link.command(wire::IMPORT_WRAPPED, &command)?;
        match body[..] {
            [object::ASYMMETRIC_KEY, high, low] => {
                YubiHsmKey::read(link, u16::from_be_bytes([high, low]))
            }
            [_, _, _] => Err(YubiHsmError::NewKey(
                "what was wrapped is no asymmetric key",
            )),
            _ => Err(YubiHsmError::Protocol(
                "the answer to an import is malformed",
            )),
        }
    }

    /// Destroys the one key with this kid, and no other.
    ///
    /// # Errors
    /// [`YubiHsmError::KeyMissing`], [`YubiHsmError::KeyAmbiguous`] when the key was imported
    /// under several identifiers, [`YubiHsmError::MissingCapability`] when the authentication key
    /// lacks `delete-asymmetric-key`.
    pub fn destroy(&self, kid: &str) -> Result<(), YubiHsmError> {
        let link = &mut Link::open(&self.access)?;
        self.require(link, Capability::DeleteAsymmetricKey, &[])?;
        let [high, low] = find(link, kid)?.to_be_bytes();
        link.command(wire::DELETE_OBJECT, &[high, low, object::ASYMMETRIC_KEY])?;
        Ok(())
    }

    /// The certificate in which a device vouches for a key: X.509 in DER, signed by the attesting
    /// key. Key 0 is the one that Yubico put into every device.
    ///
    /// # Errors
    /// [`YubiHsmError::KeyMissing`], [`YubiHsmError::MissingCapability`] when the authentication
    /// key lacks `sign-attestation-certificate`.
    pub fn attestation_certificate(
        &self,
        kid: &str,
        attesting_key: u16,
    ) -> Result<Vec<u8>, YubiHsmError> {
        let link = &mut Link::open(&self.access)?;
        self.require(link, Capability::SignAttestationCertificate, &[])?;
        let [high, low] = find(link, kid)?.to_be_bytes();
        let [by_high, by_low] = attesting_key.to_be_bytes();
        link.command(
            wire::SIGN_ATTESTATION_CERTIFICATE,
            &[high, low, by_high, by_low],
        )
    }

    /// Opens a signer with one of the keys.
    #[must_use]
    pub fn signer(&self) -> SignerBuilder {
        SignerBuilder::new(self.clone())
    }

    /// Reads what the device tells of a key that it has just made, which is of no use otherwise, and
    /// is deleted again.
    fn read_made(&self, link: &mut Link, id: u16) -> Result<YubiHsmKey, YubiHsmError> {
        YubiHsmKey::read(link, id).inspect_err(|_| {
            let [high, low] = id.to_be_bytes();
            // By another session, since this one may be broken. What failed first is told.
            let _ = Link::open(&self.access).and_then(|mut link| {
                link.command(wire::DELETE_OBJECT, &[high, low, object::ASYMMETRIC_KEY])
            });
        })
    }

    /// What the device tells of the authentication key.
    pub(crate) fn own_info(&self, link: &mut Link) -> Result<Info, YubiHsmError> {
        Info::read(
            link,
            self.access.authentication_key,
            object::AUTHENTICATION_KEY,
        )
    }

    /// Checks what the authentication key may do itself, and give to keys that it makes. Gives
    /// what the device tells of it.
    pub(crate) fn require(
        &self,
        link: &mut Link,
        capability: Capability,
        delegated: &[Capability],
    ) -> Result<Info, YubiHsmError> {
        let id = self.access.authentication_key;
        let own = self.own_info(link)?;
        let lacking = if own.capabilities.contains(capability) {
            delegated
                .iter()
                .find(|capability| !own.delegated.contains(**capability))
                .map(|&capability| (Holder::Delegation { id }, capability))
        } else {
            Some((Holder::AuthenticationKey { id }, capability))
        };
        match lacking {
            None => Ok(own),
            Some((holder, capability)) => {
                Err(YubiHsmError::MissingCapability { holder, capability })
            }
        }
    }
}

pub(crate) fn read_all(link: &mut Link) -> Result<Vec<YubiHsmKey>, YubiHsmError> {
    let mut keys = Vec::new();
    for id in object::asymmetric_keys(link, None)? {
        match YubiHsmKey::read(link, id) {
            Ok(key) => keys.push(key),
            Err(
                YubiHsmError::UnsupportedKey { .. }
                | YubiHsmError::PublicKey(_)
                // It was deleted in the meantime.
                | YubiHsmError::Device(DeviceCode::OBJECT_NOT_FOUND),
            ) => {}
            Err(error) => return Err(error),
        }
    }
    keys.sort_by_key(YubiHsmKey::id);
    Ok(keys)
}

/// The identifier of the one key with a kid.
fn find(link: &mut Link, kid: &str) -> Result<u16, YubiHsmError> {
    let found: Vec<u16> = read_all(link)?
        .iter()
        .filter(|key| key.kid() == kid)
        .map(YubiHsmKey::id)
        .collect();
    only(found, || format!("kid {kid}"))
}

/// The one identifier, or an error that tells what was wanted.
pub(crate) fn only(found: Vec<u16>, wanted: impl FnOnce() -> String) -> Result<u16, YubiHsmError> {
    match found[..] {
        [id] => Ok(id),
        [] => Err(YubiHsmError::KeyMissing {
            wanted: wanted(),
            domains: None,
        }),
        _ => Err(YubiHsmError::KeyAmbiguous {
            wanted: wanted(),
            found,
        }),
    }
}

/// The identifier of a key that was made.
fn made(body: Result<Vec<u8>, YubiHsmError>) -> Result<u16, YubiHsmError> {
    match body {
        Ok(body) => body
            .try_into()
            .map(u16::from_be_bytes)
            .map_err(|_| YubiHsmError::Protocol("the identifier of a new key is malformed")),
        Err(YubiHsmError::Device(DeviceCode::OBJECT_EXISTS)) => Err(YubiHsmError::IdentifierTaken),
        Err(error) => Err(error),
    }
}
