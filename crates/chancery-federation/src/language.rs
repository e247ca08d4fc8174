//! Whether two patterns of subjects have one in common.

use std::collections::{HashMap, VecDeque};

use crate::subject_template::{Kind, Part, SubjectTemplate, is_unreserved};

/// The subjects that a template can make, or that a pattern matches: an automaton over ASCII.
///
/// It knows nothing of lengths, and takes a `%` in a text for any two of a value's characters, so
/// that it has a little more than there is; never less.
pub(crate) struct Language {
    /// From each state: a set of characters, as bits, and the state they lead to.
    edges: Vec<Vec<(u128, usize)>>,
    /// The one state in which a subject may end.
    end: usize,
}

impl Language {
    /// What a template can make.
    pub(crate) fn of_template(template: &SubjectTemplate) -> Self {
        let mut language = Self::empty();
        for part in template.parts() {
            match part {
                Part::Literal(literal) => language.push_text(literal),
                Part::Variable(index) => match template.variables()[*index].kind() {
                    Kind::OneOf(values) => language.push_one_of(values),
                    Kind::Id => language.push_many(set(is_unreserved)),
                    Kind::Text => {
                        language.push_many(set(|byte| is_unreserved(byte) || byte == b'%'));
                    }
                },
            }
        }
        language
    }

    /// What a `StringLike` pattern matches.
    pub(crate) fn of_pattern(pattern: &str) -> Self {
        let mut language = Self::empty();
        for byte in pattern.bytes() {
            match byte {
                b'*' => {
                    let end = language.end;
                    language.edges[end].push((u128::MAX, end));
                }
                b'?' => language.push(u128::MAX),
                other => language.push(bit(other)),
            }
        }
        language
    }

    /// A shortest text that both have.
    pub(crate) fn common(&self, other: &Self) -> Option<String> {
        let start = (0, 0);
        let end = (self.end, other.end);
        let mut came_from: HashMap<(usize, usize), ((usize, usize), char)> = HashMap::new();
        let mut open = VecDeque::from([start]);
        while let Some(at) = open.pop_front() {
            if at == end {
                let mut text = Vec::new();
                let mut at = at;
                while let Some((previous, character)) = came_from.get(&at) {
                    text.push(*character);
                    at = *previous;
                }
                return Some(text.into_iter().rev().collect());
            }
            for (ours, next) in &self.edges[at.0] {
                for (theirs, other_next) in &other.edges[at.1] {
                    let to = (*next, *other_next);
                    if let Some(character) = shown(ours & theirs)
                        && to != start
                        && !came_from.contains_key(&to)
                    {
                        came_from.insert(to, (at, character));
                        open.push_back(to);
                    }
                }
            }
        }
        None
    }

    fn empty() -> Self {
        Self {
            edges: vec![Vec::new()],
            end: 0,
        }
    }

    fn state(&mut self) -> usize {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    /// One character of the set.
    fn push(&mut self, set: u128) {
        let next = self.state();
        self.edges[self.end].push((set, next));
        self.end = next;
    }

    fn push_text(&mut self, text: &str) {
        for byte in text.bytes() {
            self.push(bit(byte));
        }
    }

    /// One or more characters of the set.
    fn push_many(&mut self, set: u128) {
        self.push(set);
        let end = self.end;
        self.edges[end].push((set, end));
    }

    /// One of these texts, none of which is empty.
    fn push_one_of(&mut self, texts: &[Box<str>]) {
        let start = self.end;
        let end = self.state();
        for text in texts {
            let mut at = start;
            let last = text.len().saturating_sub(1);
            for (index, byte) in text.bytes().enumerate() {
                let next = if index == last { end } else { self.state() };
                self.edges[at].push((bit(byte), next));
                at = next;
            }
        }
        self.end = end;
    }
}

const fn bit(byte: u8) -> u128 {
    1 << (byte & 127)
}

fn set(contains: impl Fn(u8) -> bool) -> u128 {
    (0..128)
        .filter(|byte| contains(*byte))
        .fold(0, |set, byte| set | bit(byte))
}

/// A character of the set, a readable one where there is one.
fn shown(set: u128) -> Option<char> {
    if set == 0 {
        return None;
    }
    let letters = set & (u128::MAX << b'a');
    let chosen = if letters == 0 { set } else { letters };
    u8::try_from(chosen.trailing_zeros()).ok().map(char::from)
}
