//! A token that one is logged in to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_hsm::{HsmOptions, HsmSigner};

use crate::error::Pkcs11Error;
use crate::key_object::{
    KeyObject, KeySelector, describe_private_keys, find_private_keys, private_keys,
};
use crate::module::{Access, Module, ModuleSession};
use crate::pin::Pin;
use crate::selector::{FoundToken, TokenSelector};
use crate::signer_builder::SignerBuilder;
use crate::token_key::{TokenKey, UnlistedKey};
use crate::uri::Pkcs11Uri;

/// A token of a PKCS#11 module: an HSM, a partition of one, a TPM, a card.
///
/// Cloning is cheap. All tokens and signers of a process that name the same module share it, and
/// share the login to a token.
///
/// ```no_run
/// use chancery_pkcs11::{KeyPair, Pin, Token};
///
/// let token = Token::builder("/usr/lib/softhsm/libsofthsm2.so")
///     .label("issuer")
///     .pin(Pin::file("/run/credentials/issuer/pin"))
///     .open()?;
/// let key = token.generate(KeyPair::P256, "tokens-2026", None)?;
/// let signer = token.signer().label("tokens-2026").open()?;
/// # Ok::<(), chancery_pkcs11::Pkcs11Error>(())
/// ```
#[derive(Clone)]
pub struct Token(Arc<Inner>);

struct Inner {
    module: Arc<Module>,
    selector: TokenSelector,
    pin: Option<Pin>,
}

impl Token {
    /// Starts to describe a token of the module in this file.
    #[must_use]
    pub fn builder(module: impl Into<PathBuf>) -> TokenBuilder {
        TokenBuilder {
            module: module.into(),
            selector: TokenSelector::default(),
            pin: None,
            reserved: None,
        }
    }

    /// Opens the token that a URI names, with the module and the PIN that it names.
    ///
    /// # Errors
    /// [`Pkcs11Error::Uri`] when the URI names no module, and those of [`TokenBuilder::open`].
    pub fn from_uri(uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        let module = uri.module_path().ok_or(Pkcs11Error::Uri {
            reason: "it has no `module-path`, which says where the module's library is; \
                     `module-name` alone does not",
        })?;
        TokenBuilder {
            module: Path::new(module).to_owned(),
            selector: uri.token().clone(),
            pin: uri.pin(),
            reserved: None,
        }
        .open()
    }

    /// The keys on the token that can sign tokens.
    ///
    /// # Errors
    /// [`Pkcs11Error`] when the token cannot be reached, or refuses the login.
    pub fn keys(&self) -> Result<Vec<TokenKey>, Pkcs11Error> {
        let (keys, _) = self.despite_restarts(|| self.listed())?;
        Ok(keys)
    }

    /// The private keys on the token that cannot sign tokens, and why not.
    ///
    /// # Errors
    /// Those of [`Token::keys`].
    pub fn unusable_keys(&self) -> Result<Vec<UnlistedKey>, Pkcs11Error> {
        let (_, unlisted) = self.despite_restarts(|| self.listed())?;
        Ok(unlisted)
    }

    /// Starts to open a signer with one of its keys.
    #[must_use]
    pub fn signer(&self) -> SignerBuilder {
        SignerBuilder::new(self.clone())
    }

    pub(crate) fn has_pin(&self) -> bool {
        self.0.pin.is_some()
    }

    pub(crate) fn module(&self) -> &Arc<Module> {
        &self.0.module
    }

    /// Does what somebody asked for. Signers notice when their device went away and came back; here
    /// there may be none at work, so when it fails in that way, the module is started afresh and
    /// it is done once more.
    pub(crate) fn despite_restarts<T>(
        &self,
        operation: impl Fn() -> Result<T, Pkcs11Error>,
    ) -> Result<T, Pkcs11Error> {
        let module = self.module();
        let epoch = module.epoch();
        match operation() {
            Err(error) if error.may_be_stale() && module.reset(epoch).is_ok() => operation(),
            outcome => outcome,
        }
    }

    /// Opens a session and sees to it that it is logged in, where there is a PIN.
    pub(crate) fn session(
        &self,
        access: Access,
    ) -> Result<(ModuleSession, FoundToken), Pkcs11Error> {
        let Inner {
            module,
            selector,
            pin,
        } = &*self.0;
        let found = selector.find(module)?;
        let session = module.open_session(found.slot, access)?;
        if let Some(pin) = pin {
            let login = module.login(&found.identity);
            login.ensure(module, &session, found.slot, pin, &found.name)?;
        }
        Ok((session, found))
    }

    /// The one private key that matches.
    pub(crate) fn key(
        &self,
        session: &ModuleSession,
        token: &FoundToken,
        selector: &KeySelector,
    ) -> Result<KeyObject, Pkcs11Error> {
        match *find_private_keys(session, selector)? {
            [key] => Ok(KeyObject::read(session, key)?),
            [] => Err(Pkcs11Error::NoKey {
                wanted: selector.to_string(),
                token: token.name.clone(),
                found: describe_private_keys(session, &KeySelector::default())?,
                is_logged_in: self.has_pin(),
            }),
            _ => Err(Pkcs11Error::SeveralKeys {
                wanted: selector.to_string(),
                token: token.name.clone(),
                found: describe_private_keys(session, selector)?,
            }),
        }
    }

    fn listed(&self) -> Result<(Vec<TokenKey>, Vec<UnlistedKey>), Pkcs11Error> {
        let (session, _) = self.session(Access::ReadOnly)?;
        let mut listed = Vec::new();
        let mut unlisted = Vec::new();
        for key in private_keys(&session, &KeySelector::default())? {
            let halves = match key.check_use() {
                Ok(()) => key.public_halves(&session)?,
                Err(reason) => Err(reason),
            };
            match halves {
                Ok(halves) => listed.extend(halves.into_iter().filter_map(|half| {
                    // The half was checked, and the algorithm goes with it.
                    TokenKey::new(&key, half).ok()
                })),
                Err(reason) => unlisted.push(UnlistedKey::new(&key, reason)),
            }
        }
        Ok((listed, unlisted))
    }
}

/// Names the module and the token, never the PIN.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("module", &self.0.module.path())
            .field("token", &self.0.selector.to_string())
            .field("pin", &self.0.pin)
            .finish()
    }
}

/// Opens the signer that a URI names: module, token, PIN and key.
///
/// ```no_run
/// use chancery_hsm::HsmOptions;
///
/// let uri = "pkcs11:token=issuer;object=tokens-2026;type=private\
///            ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/credentials/pin";
/// let signer = chancery_pkcs11::open(&uri.parse()?, HsmOptions::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`Token::from_uri`] and [`SignerBuilder::open`].
pub fn open(uri: &Pkcs11Uri, options: HsmOptions) -> Result<HsmSigner, Pkcs11Error> {
    Token::from_uri(uri)?
        .signer()
        .uri(uri)?
        .options(options)
        .open()
}

/// Says which token to open, and how.
#[derive(Clone, Debug)]
pub struct TokenBuilder {
    module: PathBuf,
    selector: TokenSelector,
    pin: Option<Pin>,
    reserved: Option<String>,
}

impl TokenBuilder {
    /// The token's label.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.selector.label = Some(label.into());
        self
    }

    /// The token's serial number.
    #[must_use]
    pub fn serial(mut self, serial: impl Into<String>) -> Self {
        self.selector.serial = Some(serial.into());
        self
    }

    /// The number of the slot that the token is in. Many modules number their slots anew when
    /// tokens come and go; prefer the label or the serial number.
    #[must_use]
    pub const fn slot(mut self, id: u64) -> Self {
        self.selector.slot_id = Some(id);
        self
    }

    /// Where the user PIN comes from. Without it there is no login.
    ///
    /// A login counts for the whole process: while anybody in it is logged in to the token, the
    /// PIN is not asked for, and not found out to be wrong either.
    #[must_use]
    pub fn pin(mut self, pin: Pin) -> Self {
        self.pin = Some(pin);
        self
    }

    /// The string that `C_Initialize` gets as `pReserved`. NSS wants one; other modules none.
    #[must_use]
    pub fn reserved(mut self, reserved: impl Into<String>) -> Self {
        self.reserved = Some(reserved.into());
        self
    }

    /// Loads the module where it is not loaded yet, finds the token, and logs in.
    ///
    /// A PIN that the token refused is not tried a second time by this process, whoever asks.
    ///
    /// # Errors
    /// [`Pkcs11Error`]: the module cannot be loaded, no token or several match, there is no PIN, or
    /// the token refuses it.
    pub fn open(self) -> Result<Token, Pkcs11Error> {
        let token = Token(Arc::new(Inner {
            module: Module::load(&self.module, self.reserved.as_deref())?,
            selector: self.selector,
            pin: self.pin,
        }));
        token.despite_restarts(|| token.session(Access::ReadOnly).map(drop))?;
        Ok(token)
    }
}
