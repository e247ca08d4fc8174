//! Writes a manifest, its members in an order that people can follow.

use serde_core::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::VERSION;
use crate::jwk::Jwk;
use crate::rotation::key::ManagedKey;
use crate::rotation::manifest::{HistoryEntry, Manifest};
use crate::rotation::policy::{Lane, RotationPolicy};
use crate::rotation::times::TimesRecord;

/// JSON whose objects keep their order, whatever features serde_json was built with.
pub(super) enum Node {
    Value(Value),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Array(nodes) => serializer.collect_seq(nodes),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, node) in members {
                    map.serialize_entry(name, node)?;
                }
                map.end()
            }
        }
    }
}

/// The members of an object, in their order.
#[derive(Default)]
struct Object(Vec<(String, Node)>);

impl Object {
    fn value(&mut self, name: &str, value: impl Into<Value>) {
        self.node(name, Node::Value(value.into()));
    }

    fn node(&mut self, name: &str, node: Node) {
        self.0.push((name.to_owned(), node));
    }

    /// Adds members of a later release, and closes the object.
    fn with_unknown(mut self, unknown: &Map<String, Value>) -> Node {
        let mut unknown: Vec<_> = unknown.iter().collect();
        unknown.sort_by_key(|(name, _)| *name);
        for (name, value) in unknown {
            self.value(name, value.clone());
        }
        Node::Object(self.0)
    }
}

pub(super) fn manifest(manifest: &Manifest) -> Node {
    let mut object = Object::default();
    object.value("version", VERSION);
    object.value("revision", manifest.revision);
    object.value("created_at", manifest.created_at.as_secs());
    object.value("changed_at", manifest.changed_at.as_secs());
    object.node("policy", policy(&manifest.policy, manifest));
    let none = Map::new();
    let unknown = manifest
        .unknown
        .records
        .iter()
        .chain(std::iter::repeat(&none));
    let records = manifest.records.iter().zip(unknown);
    object.node(
        "times",
        Node::Array(
            records
                .map(|(record, unknown)| times(record, unknown))
                .collect(),
        ),
    );
    object.node("keys", Node::Array(manifest.keys.iter().map(key).collect()));
    object.node(
        "history",
        Node::Array(manifest.history.iter().map(entry).collect()),
    );
    object.with_unknown(&manifest.unknown.manifest)
}

/// The policy without its times, which are the last ones in force.
fn policy(policy: &RotationPolicy, manifest: &Manifest) -> Node {
    let mut object = Object::default();
    object.value("version", policy.version);
    object.value("nobody_has_fetched", policy.nobody_has_fetched);
    let none = Map::new();
    let lanes = policy.lanes.iter().map(|entry| {
        let unknown = manifest.unknown.lanes.get(&entry.algorithm);
        lane(entry, unknown.unwrap_or(&none))
    });
    object.node("lanes", Node::Array(lanes.collect()));
    object.with_unknown(&manifest.unknown.policy)
}

fn lane(lane: &Lane, unknown: &Map<String, Value>) -> Node {
    let mut object = Object::default();
    object.value("algorithm", lane.algorithm.name());
    object.value("backend", lane.backend.as_str());
    if let Some(standby) = &lane.standby {
        object.value("standby", standby.as_str());
    }
    object.value("active_for", lane.active_for.as_secs());
    object.value("longest_active", lane.longest_active.as_secs());
    object.value("margin", lane.margin.as_secs());
    object.with_unknown(unknown)
}

fn times(record: &TimesRecord, unknown: &Map<String, Value>) -> Node {
    let mut object = Object::default();
    object.value("since", record.since.as_secs());
    if let Some(until) = record.until {
        object.value("until", until.as_secs());
    }
    for (name, time) in record.times.named() {
        object.value(name, time.as_secs());
    }
    object.with_unknown(unknown)
}

fn key(key: &ManagedKey) -> Node {
    let mut object = Object::default();
    object.node("jwk", jwk(&key.jwk, &key.unknown_of_jwk));
    object.value("backend", key.backend.as_str());
    object.value("reference", key.reference.as_str());
    object.value("role", key.role.name());
    if let Some(bootstrap) = key.bootstrap {
        object.value("bootstrap", bootstrap.name());
    }
    for (name, moment) in key.moments.named() {
        if let Some(moment) = moment {
            object.value(name, moment.as_secs());
        }
    }
    object.with_unknown(&key.unknown)
}

fn jwk(jwk: &Jwk, unknown: &Map<String, Value>) -> Node {
    let mut object = Object::default();
    // A JWK is an object of strings and of arrays of strings, which always is JSON.
    if let Ok(Value::Object(mut members)) = serde_json::to_value(jwk) {
        for name in super::read::JWK_MEMBERS {
            if let Some(value) = members.remove(name) {
                object.value(name, value);
            }
        }
    }
    object.with_unknown(unknown)
}

fn entry(entry: &HistoryEntry) -> Node {
    let mut object = Object::default();
    object.value("revision", entry.revision);
    object.value("at", entry.at.as_secs());
    object.value("by", entry.by.as_str());
    object.value("what", entry.what.as_str());
    if let Some(kid) = &entry.kid {
        object.value("kid", kid.as_str());
    }
    object.with_unknown(&entry.unknown)
}
