//! A token that one is logged in to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chancery_core::PublicKey;
use chancery_hsm::{HsmOptions, HsmSigner};

use crate::Pin;
use crate::deadline::{self, Limit, Operation};
use crate::error::Pkcs11Error;
use crate::key_object::{KeyObject, KeySelector, describe_private_keys, private_keys};
use crate::key_session::{Which, prove_any};
use crate::module::{Access, Module, ModuleSession};
use crate::public_half::UnusableKey;
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
    limit: Limit,
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
            deadline: deadline::DEFAULT,
        }
    }

    /// Opens the token that a URI names, with the module and the PIN that it names. To add what a
    /// URI cannot say, such as a PIN from a callback, use [`TokenBuilder::uri`].
    ///
    /// # Errors
    /// [`Pkcs11Error::Uri`] when the URI names no module, and those of [`TokenBuilder::open`].
    pub fn from_uri(uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        TokenBuilder::from_uri(uri)?.open()
    }

    /// The keys on the token that can sign tokens.
    ///
    /// Anybody can store a public key beside a private key that does not tell its public half
    /// itself, as few but RSA keys do. Such a key signs something here, and is listed with the
    /// public key that verifies it.
    ///
    /// # Errors
    /// [`Pkcs11Error`] when the token cannot be reached, refuses the login, or does not answer by the
    /// deadline.
    pub fn keys(&self) -> Result<Vec<TokenKey>, Pkcs11Error> {
        let (keys, _) = self.by_deadline(Operation::ListKeys, |token| {
            token.despite_restarts(|| token.listed())
        })??;
        Ok(keys)
    }

    /// The private keys on the token that cannot sign tokens, and why not.
    ///
    /// # Errors
    /// Those of [`Token::keys`].
    pub fn unusable_keys(&self) -> Result<Vec<UnlistedKey>, Pkcs11Error> {
        let (_, unlisted) = self.by_deadline(Operation::ListKeys, |token| {
            token.despite_restarts(|| token.listed())
        })??;
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

    /// Does what somebody asked for on a thread of its own, and waits for it until the token's
    /// deadline.
    pub(crate) fn by_deadline<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Pkcs11Error> {
        let token = self.clone();
        self.0.limit.run(operation, move || work(&token))
    }

    /// Does what somebody asked for, which must be fit to be done twice.
    ///
    /// Signers notice when their device went away and came back; here there may be none at work, so
    /// when it fails in that way, the module is started afresh, once. And when a signer does so
    /// meanwhile, sessions are lost, and it is done again with another one.
    pub(crate) fn despite_restarts<T>(
        &self,
        operation: impl Fn() -> Result<T, Pkcs11Error>,
    ) -> Result<T, Pkcs11Error> {
        const TRIES: usize = 5;
        let module = self.module();
        let mut may_reset = true;
        for _ in 1..TRIES {
            let epoch = module.epoch();
            match operation() {
                Err(error) if error.is_of_session() => {}
                Err(error) if may_reset && error.may_be_stale() && module.reset(epoch).is_ok() => {
                    may_reset = false;
                }
                outcome => return outcome,
            }
        }
        operation()
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
            ..
        } = &*self.0;
        let found = selector.find(module)?;
        let session = module.open_session(found.slot, access)?;
        if let Some(pin) = pin {
            let login = module.logins().of(found.slot, found.identity.as_deref());
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
        let mut matching = private_keys(session, selector)?;
        let first = matching.next().transpose()?;
        let second = matching.next().transpose()?;
        drop(matching);
        match (first, second) {
            (Some(key), None) => Ok(key),
            (None, _) => Err(Pkcs11Error::NoKey {
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
        let mut device_failed = None;
        for key in private_keys(&session, &KeySelector::default())? {
            let key = key?;
            let reason = match self.half(&session, &key) {
                Ok(half) => {
                    // The half was checked, and the algorithm goes with it.
                    listed.extend(TokenKey::new(&key, half).ok());
                    continue;
                }
                Err(Pkcs11Error::UnusableKey { reason, .. }) => reason,
                Err(error) => {
                    let Pkcs11Error::SelfTest { attempts, .. } = &error else {
                        return Err(error);
                    };
                    let attempts = attempts.clone();
                    if error.may_be_stale() {
                        device_failed = Some(error);
                    }
                    UnusableKey::SelfTest { attempts }
                }
            };
            unlisted.push(UnlistedKey::new(&key, reason));
        }
        // A device that no key signs on is not there, rather than all keys of no use.
        match device_failed {
            Some(error) if listed.is_empty() => return Err(error),
            _ => {}
        }
        // The handles were good to the end.
        session.call(|session| session.get_session_info())?;
        Ok((listed, unlisted))
    }

    /// The public half of the key: the one that it tells itself, else the one that verifies what it
    /// signs.
    fn half(&self, session: &ModuleSession, key: &KeyObject) -> Result<PublicKey, Pkcs11Error> {
        let unusable = |reason| Pkcs11Error::UnusableKey {
            key: key.name(),
            reason,
        };
        key.check_use().map_err(unusable)?;
        let halves = key.public_halves(session)?.map_err(unusable)?;
        match halves.keys.as_slice() {
            [half] if halves.is_its_own => Ok(half.clone()),
            halves => {
                let proven = prove_any(self, Which::Read, key, halves)?;
                Ok(proven.jwk.public_key().clone())
            }
        }
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
/// A key that could leave the token is opened too. To refuse such a key, or to ask for its warnings
/// or for another algorithm, take the steps one by one:
///
/// ```no_run
/// # use chancery_pkcs11::{Pkcs11Uri, Token};
/// # let uri: Pkcs11Uri = "pkcs11:token=issuer?module-path=/usr/lib/softhsm/libsofthsm2.so".parse()?;
/// let signer = Token::from_uri(&uri)?.signer().uri(&uri)?;
/// for warning in signer.warnings()? {
///     eprintln!("{warning}");
/// }
/// let signer = signer.refuse_extractable().open()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In one step:
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
/// All of it together has a minute, the deadline of [`TokenBuilder::deadline`].
///
/// # Errors
/// Those of [`Token::from_uri`] and [`SignerBuilder::open`].
pub fn open(uri: &Pkcs11Uri, options: HsmOptions) -> Result<HsmSigner, Pkcs11Error> {
    let token = TokenBuilder::from_uri(uri)?;
    let uri = uri.clone();
    token.limit().run(Operation::OpenSigner, move || {
        let signer = token.open()?.signer().uri(&uri)?;
        signer.options(options).open()
    })?
}

/// Says which token to open, and how.
#[derive(Clone, Debug)]
pub struct TokenBuilder {
    module: PathBuf,
    selector: TokenSelector,
    pin: Option<Pin>,
    reserved: Option<String>,
    deadline: Duration,
}

impl TokenBuilder {
    fn from_uri(uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        let module = uri.module_path().ok_or(Pkcs11Error::Uri {
            reason: "it has no `module-path`, which says where the module's library is; \
                     `module-name` alone does not",
        })?;
        Token::builder(module).uri(uri)
    }

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

    /// Adds the token and the PIN that a URI names. What no URI can say is said beside it:
    ///
    /// ```no_run
    /// use chancery_pkcs11::{Pin, Pkcs11Uri, Token};
    ///
    /// let uri: Pkcs11Uri = "pkcs11:token=issuer;object=tokens-2026".parse()?;
    /// let token = Token::builder("/usr/lib/softhsm/libsofthsm2.so")
    ///     .uri(&uri)?
    ///     .pin(Pin::callback(|| Ok("1234".to_owned())))
    ///     .open()?;
    /// let signer = token.signer().uri(&uri)?.open()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Pkcs11Error::Uri`] when the URI names another module or token than was named before, or a
    /// PIN where there is one already.
    pub fn uri(mut self, uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        let contradiction = |reason| Err(Pkcs11Error::Uri { reason });
        if uri
            .module_path()
            .is_some_and(|path| Path::new(path) != self.module)
        {
            return contradiction("its `module-path` is not the module of the builder");
        }
        self.selector.merge(uri.token())?;
        match uri.pin() {
            Some(_) if self.pin.is_some() => {
                return contradiction("it names a PIN, and the builder has one already");
            }
            Some(pin) => self.pin = Some(pin),
            None => {}
        }
        Ok(self)
    }

    /// Where the user PIN comes from. Without it there is no login. It is read on threads of this
    /// library's own.
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

    /// How long each operation on the token may take, 60 s unless said otherwise: opening it,
    /// opening a signer with one of its keys, and listing, generating and destroying keys. More than
    /// a year counts as a year. RSA keys take some TPMs half a minute to make.
    ///
    /// It counts from the call, and includes loading the module and whatever the source of the PIN
    /// takes. An operation that is part of another one, as where the callback that fetches the PIN
    /// opens a token itself, goes by the deadline of that one. Signatures go by
    /// [`HsmOptions::with_deadline`](chancery_hsm::HsmOptions::with_deadline) instead.
    ///
    /// A call that hangs in the module cannot be taken back, so its thread is left there, and the
    /// operation ends when the call does. Eight operations at most are in a module at once. Others
    /// wait for their turn until their deadline, and are refused as
    /// [`Pkcs11Error::NotBegun`] when all of the eight have passed theirs.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn limit(&self) -> Limit {
        Limit::new(self.module.clone(), self.deadline)
    }

    /// Loads the module where it is not loaded yet, finds the token, and logs in.
    ///
    /// A PIN that the token refused is not tried a second time by this process, whoever asks. It
    /// counts as refused too when the login fails with any other code, and the token says that it
    /// has counted a wrong PIN (`CKF_USER_PIN_COUNT_LOW`, `CKF_USER_PIN_FINAL_TRY`,
    /// `CKF_USER_PIN_LOCKED`; PKCS#11 3.1 §3.2).
    ///
    /// # Errors
    /// [`Pkcs11Error`]: the module cannot be loaded, no token or several match, there is no PIN, the
    /// token refuses it, or all of that takes longer than the deadline.
    pub fn open(self) -> Result<Token, Pkcs11Error> {
        self.limit().run(Operation::OpenToken, move || {
            let limit = self.limit();
            let token = Token(Arc::new(Inner {
                module: Module::load(limit.module(), self.reserved.as_deref())?,
                selector: self.selector,
                pin: self.pin,
                limit,
            }));
            token.despite_restarts(|| token.session(Access::ReadOnly).map(drop))?;
            Ok(token)
        })?
    }
}
