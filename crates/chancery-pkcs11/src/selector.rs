//! Which token of a module is meant.

use std::fmt;

use cryptoki::context::Info;
use cryptoki::slot::{Limit, Slot, SlotInfo, TokenInfo};

use crate::error::Pkcs11Error;
use crate::module::Module;
use crate::module_error::{CallError, ModuleError};
use crate::uri::merge;

/// What a token has to be like. All that is named must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenSelector {
    pub(crate) label: Option<String>,
    pub(crate) manufacturer: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) slot_id: Option<u64>,
    pub(crate) slot_manufacturer: Option<String>,
    pub(crate) slot_description: Option<String>,
    pub(crate) library_manufacturer: Option<String>,
    pub(crate) library_description: Option<String>,
    /// Major and minor.
    pub(crate) library_version: Option<(u8, u8)>,
}

/// A token that was found, in its slot.
pub(crate) struct FoundToken {
    pub(crate) slot: Slot,
    /// Tells it from the other tokens of the module, as long as it is not initialised anew. `None`
    /// where its description cannot be read.
    pub(crate) identity: Option<String>,
    /// What errors call it.
    pub(crate) name: String,
    /// The number of sessions that it can have beside those that are open; `None` when it does not
    /// say.
    pub(crate) free_sessions: Option<u64>,
}

impl TokenSelector {
    /// Adds what a URI names.
    pub(crate) fn merge(&mut self, named: &Self) -> Result<(), Pkcs11Error> {
        const CONTRADICTION: &str = "it names another token, slot or library than the builder it \
                                     is added to; name each but once";
        let Self {
            label,
            manufacturer,
            serial,
            model,
            slot_id,
            slot_manufacturer,
            slot_description,
            library_manufacturer,
            library_description,
            library_version,
        } = named;
        for (known, named) in [
            (&mut self.label, label),
            (&mut self.manufacturer, manufacturer),
            (&mut self.serial, serial),
            (&mut self.model, model),
            (&mut self.slot_manufacturer, slot_manufacturer),
            (&mut self.slot_description, slot_description),
            (&mut self.library_manufacturer, library_manufacturer),
            (&mut self.library_description, library_description),
        ] {
            merge(known, named.as_ref(), CONTRADICTION)?;
        }
        merge(&mut self.slot_id, slot_id.as_ref(), CONTRADICTION)?;
        let version = library_version.as_ref();
        merge(&mut self.library_version, version, CONTRADICTION)
    }

    /// Finds the one token that matches. It is looked up each time, since slots are renumbered
    /// when tokens come and go.
    pub(crate) fn find(&self, module: &Module) -> Result<FoundToken, Pkcs11Error> {
        if self.names_library() {
            let info = module.call(|pkcs11| pkcs11.get_library_info())?;
            if !self.matches_library(&info) {
                return Err(Pkcs11Error::NoToken {
                    wanted: self.to_string(),
                    found: vec![format!(
                        "the library is `{}` {} by `{}`",
                        info.library_description(),
                        info.library_version(),
                        info.manufacturer_id()
                    )],
                });
            }
        }
        let slots = module.call(|pkcs11| pkcs11.get_slots_with_token())?;
        let mut matching = Vec::new();
        let mut found = Vec::new();
        for slot in slots {
            if self.slot_id.is_some_and(|wanted| wanted != slot.id()) {
                found.push(format!("slot {slot}"));
                continue;
            }
            let info = module.call(|pkcs11| pkcs11.get_token_info(slot));
            let info = info.map_err(ModuleError::from);
            found.push(description(slot, &info));
            if self.matches_token(info.as_ref().ok()) && self.matches_slot(module, slot)? {
                matching.push(FoundToken::new(slot, info.ok().as_ref()));
            }
        }
        match <[FoundToken; 1]>::try_from(matching) {
            Ok([token]) => Ok(token),
            Err(none) if none.is_empty() => Err(Pkcs11Error::NoToken {
                wanted: self.to_string(),
                found,
            }),
            Err(several) => Err(Pkcs11Error::SeveralTokens {
                wanted: self.to_string(),
                found: several.into_iter().map(|token| token.name).collect(),
            }),
        }
    }

    /// Whether the token is meant. Its information is missing where the module's cannot be read,
    /// as is so with opencryptoki; then only the slot can tell.
    fn matches_token(&self, info: Option<&TokenInfo>) -> bool {
        let Some(info) = info else {
            return self.slot_id.is_some() && !self.names_token();
        };
        // Modules show an empty slot as a token that waits to be initialised.
        (info.token_initialized() || self.slot_id.is_some())
            && is(&self.label, info.label())
            && is(&self.manufacturer, info.manufacturer_id())
            && is(&self.serial, info.serial_number())
            && is(&self.model, info.model())
    }

    fn matches_slot(&self, module: &Module, slot: Slot) -> Result<bool, CallError> {
        if self.slot_manufacturer.is_none() && self.slot_description.is_none() {
            return Ok(true);
        }
        let info: SlotInfo = module.call(|pkcs11| pkcs11.get_slot_info(slot))?;
        Ok(is(&self.slot_manufacturer, info.manufacturer_id())
            && is(&self.slot_description, info.slot_description()))
    }

    fn matches_library(&self, info: &Info) -> bool {
        let version = info.library_version();
        is(&self.library_manufacturer, info.manufacturer_id())
            && is(&self.library_description, info.library_description())
            && self
                .library_version
                .is_none_or(|wanted| wanted == (version.major(), version.minor()))
    }

    const fn names_token(&self) -> bool {
        self.label.is_some()
            || self.manufacturer.is_some()
            || self.serial.is_some()
            || self.model.is_some()
    }

    const fn names_library(&self) -> bool {
        self.library_manufacturer.is_some()
            || self.library_description.is_some()
            || self.library_version.is_some()
    }
}

/// As a part of an error message.
impl fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot_id = self.slot_id.map(|slot| slot.to_string());
        let version = self
            .library_version
            .map(|(major, minor)| format!("{major}.{minor}"));
        let named = [
            ("label", &self.label),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
            ("slot", &slot_id),
            ("slot manufacturer", &self.slot_manufacturer),
            ("slot description", &self.slot_description),
            ("library manufacturer", &self.library_manufacturer),
            ("library description", &self.library_description),
            ("library version", &version),
        ];
        let mut separator = "a token of ";
        for (name, value) in named {
            if let Some(value) = value {
                write!(f, "{separator}{name} `{value}`")?;
                separator = ", ";
            }
        }
        if separator == ", " {
            Ok(())
        } else {
            f.write_str("any token")
        }
    }
}

impl FoundToken {
    fn new(slot: Slot, info: Option<&TokenInfo>) -> Self {
        let Some(info) = info else {
            return Self {
                slot,
                identity: None,
                name: format!("the token in slot {slot}"),
                free_sessions: None,
            };
        };
        Self {
            slot,
            identity: Some(format!(
                "{}\0{}\0{}\0{}",
                info.manufacturer_id(),
                info.model(),
                info.serial_number(),
                info.label()
            )),
            name: format!(
                "the token `{}` (serial `{}`, slot {slot})",
                info.label(),
                info.serial_number()
            ),
            free_sessions: match info.max_session_count() {
                Limit::Max(sessions) => {
                    // One keeps the login, where the token does not tell.
                    Some(sessions.saturating_sub(info.session_count().unwrap_or(1)))
                }
                Limit::Unavailable | Limit::Infinite => None,
            },
        }
    }
}

fn description(slot: Slot, info: &Result<TokenInfo, ModuleError>) -> String {
    match info {
        Ok(info) if !info.token_initialized() => format!("slot {slot}: not initialised"),
        Ok(info) => format!(
            "slot {slot}: label `{}`, serial `{}`, model `{}` by `{}`",
            info.label(),
            info.serial_number(),
            info.model(),
            info.manufacturer_id()
        ),
        Err(error) => format!(
            "slot {slot}: its description cannot be read ({error}), so it can only be chosen by \
             the slot's number"
        ),
    }
}

fn is(wanted: &Option<String>, found: &str) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted == found)
}

impl From<CallError> for Pkcs11Error {
    fn from(error: CallError) -> Self {
        Self::Module(ModuleError::from(error))
    }
}
