//! The context of a request: its keys and their values.

use std::borrow::Cow;

use crate::aws::session_tags::folded;

/// The keys of a request, with which conditions are compared. Case makes no difference in their
/// names.
#[derive(Clone, Debug, Default)]
pub struct Context<'a> {
    entries: Vec<(Cow<'a, str>, Key<'a>)>,
    /// Whether keys that are not listed may be in the request all the same.
    is_partial: bool,
    /// Whether tags that are not listed may be in the request.
    has_other_tags: bool,
}

/// What a request has under the name of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The value of a key that has one.
    One(Cow<'a, str>),
    /// The values of a multivalued key, be there one or several.
    Many(Vec<Cow<'a, str>>),
    /// Nothing.
    Absent,
    /// Something or nothing; it is not known which.
    Unknown,
}

impl Key<'_> {
    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Key<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::One(value) => Key::One(owned(value)),
            Self::Many(values) => Key::Many(values.into_iter().map(owned).collect()),
            Self::Absent => Key::Absent,
            Self::Unknown => Key::Unknown,
        }
    }
}

impl<'a> Context<'a> {
    /// A request with no keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key that has one value.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.insert(name, Key::One(value.into()));
        self
    }

    /// Adds a multivalued key.
    #[must_use]
    pub fn with_values<V: Into<Cow<'a, str>>>(
        mut self,
        name: impl Into<Cow<'a, str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.insert(name, Key::Many(values));
        self
    }

    /// Adds a key whose value, or whether it is there at all, is not known.
    #[must_use]
    pub fn with_unknown(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.insert(name, Key::Unknown);
        self
    }

    /// What stands under a name. A key that is not listed is absent; of one whose name differs in the
    /// case of letters outside ASCII it is not known whether it is the same.
    #[must_use]
    pub fn key(&self, name: &str) -> &Key<'a> {
        let found = self
            .entries
            .iter()
            .rev()
            .find(|(entry, _)| entry.eq_ignore_ascii_case(name));
        match found {
            Some((_, key)) => key,
            None if self.is_partial && self.may_have(name) => &Key::Unknown,
            None if self.has_in_other_case(name) => &Key::Unknown,
            None => &Key::Absent,
        }
    }

    /// A request of which more than what is listed may be known to AWS: its address, its client.
    pub(crate) fn partial(capacity: usize) -> Self {
        Self {
            entries: Vec::with_capacity(capacity),
            is_partial: true,
            has_other_tags: false,
        }
    }

    /// The same, with session tags that are not known.
    pub(crate) const fn with_other_tags(mut self, has_other_tags: bool) -> Self {
        self.has_other_tags = has_other_tags;
        self
    }

    /// Whether a partial request may have a key that is not listed. Only the token decides on its
    /// tags, and on the keys of identity providers, whose names begin with a host.
    fn may_have(&self, name: &str) -> bool {
        let is_tag = starts_with(name, "aws:RequestTag/")
            || is_one_of(name, &["aws:TagKeys", "sts:TransitiveTagKeys"]);
        if is_tag {
            return self.has_other_tags;
        }
        let is_of_provider = name
            .rsplit_once(':')
            .is_some_and(|(prefix, _)| prefix.contains(['.', '/']));
        !is_of_provider && !is_one_of(name, &["sts:SourceIdentity"])
    }

    fn has_in_other_case(&self, name: &str) -> bool {
        let is_ascii = name.is_ascii();
        self.entries.iter().any(|(entry, key)| {
            let may_differ = !is_ascii || !entry.is_ascii();
            may_differ && *key != Key::Absent && folded(entry) == folded(name)
        })
    }

    pub(crate) fn insert(&mut self, name: impl Into<Cow<'a, str>>, key: Key<'a>) {
        self.entries.push((name.into(), key));
    }
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_one_of(name: &str, keys: &[&str]) -> bool {
    keys.iter().any(|key| key.eq_ignore_ascii_case(name))
}
