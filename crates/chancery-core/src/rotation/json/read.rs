//! Reads a manifest, member by member.

use std::time::Duration;

use serde_json::{Map, Value};

use super::VERSION;
use crate::jwk::Jwk;
use crate::rotation::error::ManifestError;
use crate::rotation::key::{Bootstrap, ManagedKey, Moments};
use crate::rotation::manifest::{HistoryEntry, Manifest, Unknown};
use crate::rotation::policy::{Lane, Role, RotationPolicy};
use crate::rotation::times::{RotationTimes, TimesRecord};
use crate::time::UnixTime;

/// The members of a JWK that this release writes, in this order.
pub(super) const JWK_MEMBERS: [&str; 10] =
    ["kty", "use", "alg", "kid", "crv", "x", "y", "n", "e", "x5c"];

const SECONDS: &str = "whole seconds from 0 to 253402300799";
const INTEGER: &str = "an integer from 0 to 18446744073709551615";
const STRING: &str = "a string";

pub(super) fn manifest(value: Value) -> Result<Manifest, ManifestError> {
    let mut object = Object::new(String::new(), value)?;
    let version = object.integer("version")?;
    if version != VERSION {
        return Err(ManifestError::Version { found: version });
    }
    let revision = object.integer("revision")?;
    let created_at = object.moment("created_at")?;
    let changed_at = object.moment("changed_at")?;
    let mut unknown = Unknown::default();
    let mut records = Vec::new();
    for record in object.array("times")? {
        let (record, others) = times(record)?;
        records.push(record);
        unknown.records.push(others);
    }
    let Some(in_force) = records.last().copied() else {
        return Err(object.error("times", "an array of at least one element"));
    };
    let policy = policy(object.object("policy")?, in_force.times, &mut unknown)?;
    let keys = object.array("keys")?.into_iter().map(key);
    let keys = keys.collect::<Result<_, _>>()?;
    let history = object.array("history")?.into_iter().map(entry);
    let history = history.collect::<Result<_, _>>()?;
    unknown.manifest = object.members;
    Ok(Manifest {
        revision,
        created_at,
        changed_at,
        policy,
        records,
        keys,
        history,
        unknown,
    })
}

fn times(mut object: Object) -> Result<(TimesRecord, Map<String, Value>), ManifestError> {
    let record = TimesRecord {
        since: object.moment("since")?,
        until: object.optional_moment("until")?,
        times: RotationTimes::from_named(|name| object.seconds(name))?,
    };
    Ok((record, object.members))
}

fn policy(
    mut object: Object,
    times: RotationTimes,
    unknown: &mut Unknown,
) -> Result<RotationPolicy, ManifestError> {
    let version = object.integer("version")?;
    let nobody_has_fetched = match object.take("nobody_has_fetched") {
        Some(Value::Bool(nobody)) => nobody,
        _ => return Err(object.error("nobody_has_fetched", "true or false")),
    };
    let mut lanes = Vec::new();
    for lane in object.array("lanes")? {
        let (lane, others) = self::lane(lane)?;
        if !others.is_empty() {
            unknown.lanes.insert(lane.algorithm, others);
        }
        lanes.push(lane);
    }
    unknown.policy = object.members;
    Ok(RotationPolicy {
        version,
        times,
        lanes,
        nobody_has_fetched,
    })
}

fn lane(mut object: Object) -> Result<(Lane, Map<String, Value>), ManifestError> {
    let algorithm = object.string("algorithm")?;
    let lane = Lane {
        algorithm: algorithm
            .parse()
            .map_err(|_| object.error("algorithm", "the name of a signature algorithm"))?,
        backend: object.string("backend")?,
        standby: object.optional_string("standby")?,
        active_for: object.seconds("active_for")?,
        longest_active: object.seconds("longest_active")?,
        margin: object.seconds("margin")?,
    };
    Ok((lane, object.members))
}

fn key(mut object: Object) -> Result<ManagedKey, ManifestError> {
    let jwk_object = object.object("jwk")?;
    // The kid is required: taken from the key, it could not show that the key is another one.
    let has_kid = jwk_object.members.contains_key("kid") && jwk_object.members.contains_key("alg");
    if !has_kid {
        return Err(jwk_object.error("kid", "there, as must be `alg`"));
    }
    let jwk = Jwk::from_members(&jwk_object.members).map_err(|error| ManifestError::Jwk {
        path: jwk_object.path,
        error,
    })?;
    let mut unknown_of_jwk = jwk_object.members;
    unknown_of_jwk.retain(|name, _| !JWK_MEMBERS.contains(&name.as_str()));
    let role = match object.string("role")?.as_str() {
        "rotating" => Role::Rotating,
        "standby" => Role::Standby,
        _ => return Err(object.error("role", "`rotating` or `standby`")),
    };
    let bootstrap = match object.optional_string("bootstrap")?.as_deref() {
        None => None,
        Some("observed") => Some(Bootstrap::Observed),
        Some("at_once") => Some(Bootstrap::AtOnce),
        Some(_) => return Err(object.error("bootstrap", "`observed` or `at_once`")),
    };
    Ok(ManagedKey {
        jwk,
        backend: object.string("backend")?,
        reference: object.string("reference")?,
        role,
        bootstrap,
        moments: Moments::from_named(|name| object.optional_moment(name))?,
        unknown: object.members,
        unknown_of_jwk,
    })
}

fn entry(mut object: Object) -> Result<HistoryEntry, ManifestError> {
    Ok(HistoryEntry {
        revision: object.integer("revision")?,
        at: object.moment("at")?,
        by: object.string("by")?,
        what: object.string("what")?,
        kid: object.optional_string("kid")?,
        unknown: object.members,
    })
}

/// An object whose members are taken out one by one; what is left is unknown.
struct Object {
    path: String,
    members: Map<String, Value>,
}

impl Object {
    fn new(path: String, value: Value) -> Result<Self, ManifestError> {
        match value {
            Value::Object(members) => Ok(Self { path, members }),
            _ => Err(ManifestError::Member {
                path: if path.is_empty() {
                    "top level".to_owned()
                } else {
                    path
                },
                expected: "an object",
            }),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn error(&self, name: &str, expected: &'static str) -> ManifestError {
        ManifestError::Member {
            path: self.path_of(name),
            expected,
        }
    }

    fn integer(&mut self, name: &str) -> Result<u64, ManifestError> {
        let integer = self.take(name).as_ref().and_then(Value::as_u64);
        integer.ok_or_else(|| self.error(name, INTEGER))
    }

    fn seconds(&mut self, name: &str) -> Result<Duration, ManifestError> {
        Ok(Duration::from_secs(self.moment(name)?.as_secs()))
    }

    fn moment(&mut self, name: &str) -> Result<UnixTime, ManifestError> {
        self.optional_moment(name)?
            .ok_or_else(|| self.error(name, SECONDS))
    }

    fn optional_moment(&mut self, name: &str) -> Result<Option<UnixTime>, ManifestError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.as_u64().and_then(UnixTime::from_secs) {
            Some(moment) => Ok(Some(moment)),
            None => Err(self.error(name, SECONDS)),
        }
    }

    fn string(&mut self, name: &str) -> Result<String, ManifestError> {
        self.optional_string(name)?
            .ok_or_else(|| self.error(name, STRING))
    }

    fn optional_string(&mut self, name: &str) -> Result<Option<String>, ManifestError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(name, STRING)),
        }
    }

    fn object(&mut self, name: &str) -> Result<Self, ManifestError> {
        let value = self.take(name).unwrap_or_default();
        Self::new(self.path_of(name), value)
    }

    fn array(&mut self, name: &str) -> Result<Vec<Self>, ManifestError> {
        let Some(Value::Array(elements)) = self.take(name) else {
            return Err(self.error(name, "an array"));
        };
        let path = self.path_of(name);
        elements
            .into_iter()
            .enumerate()
            .map(|(index, element)| Self::new(format!("{path}[{index}]"), element))
            .collect()
    }
}
