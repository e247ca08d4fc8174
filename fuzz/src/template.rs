//! Subject templates, and values that users chose.

use std::collections::BTreeMap;

use chancery_federation::{SubjectTemplate, Variable};

/// The first line is a template; each of the others a variable: its kind, its name, and two values.
/// Two different sets of values give different subjects, values add no structure to a subject, and
/// a pattern matches what was chosen and nothing else.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default();
    let (mut variables, mut sets) = (Vec::new(), [BTreeMap::new(), BTreeMap::new()]);
    for line in lines {
        let mut columns = line.split('\t');
        let kind = columns.next().unwrap_or_default();
        let name = columns.next().unwrap_or_default();
        variables.push(match kind.split(' ').collect::<Vec<_>>()[..] {
            ["o", ref values @ ..] => Variable::one_of(name, values.iter().copied()),
            ["t", ..] => Variable::text(name).with_longest(100),
            _ => Variable::id(name),
        });
        for set in &mut sets {
            set.insert(name, columns.next().unwrap_or_default());
        }
    }
    let Ok(template) = SubjectTemplate::parse(first, variables) else {
        return;
    };
    assert_eq!(template.as_str(), first);
    let literal: String = first.split(['{', '}']).step_by(2).collect();
    let [one, other] = sets.map(|set| {
        let values: Vec<(&str, &str)> = set.into_iter().collect();
        let subject = template.subject(&values);
        let mut reused = String::from("old");
        assert_eq!(
            template.render(&values, &mut reused).is_ok(),
            subject.is_ok()
        );
        assert_eq!(subject.clone().unwrap_or_default(), reused);
        (values, subject.ok())
    });
    for (values, subject) in [&one, &other] {
        let Some(subject) = subject else { continue };
        assert!(subject.len() <= template.longest());
        assert_eq!(structure(subject), structure(&literal), "{subject}");
        assert!(
            subject.bytes().all(|byte| byte.is_ascii_graphic()),
            "{subject}"
        );
        let exact = template.aws_pattern(values);
        if !values.is_empty() {
            let exact = exact.expect("one subject is a pattern");
            assert_eq!(
                (exact.operator(), exact.value()),
                ("StringEquals", subject.as_str())
            );
        }
    }
    let (Some(one_subject), Some(other_subject)) = (&one.1, &other.1) else {
        return;
    };
    assert_eq!(
        one.0 == other.0,
        one_subject == other_subject,
        "{one_subject}"
    );
    // Every choice of the first few variables.
    for chosen in 1..1_usize << one.0.len().min(4) {
        let fixed: Vec<(&str, &str)> = one
            .0
            .iter()
            .enumerate()
            .filter(|(index, _)| *index < 4 && chosen & (1 << index) != 0)
            .map(|(_, value)| *value)
            .collect();
        if let Ok(pattern) = template.aws_pattern(&fixed) {
            let is_chosen = fixed.iter().all(|value| other.0.contains(value));
            assert!(is_like(pattern.value(), one_subject));
            assert_eq!(
                is_like(pattern.value(), other_subject),
                is_chosen,
                "{fixed:?}"
            );
        }
    }
}

/// What stands in a subject besides values.
fn structure(text: &str) -> String {
    text.chars()
        .filter(|found| !found.is_ascii_alphanumeric() && !"-._~%".contains(*found))
        .collect()
}

/// `StringLike` with `*` alone.
fn is_like(pattern: &str, text: &str) -> bool {
    let pieces: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = &pieces[..] else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    for piece in middle {
        match rest.find(piece) {
            Some(position) => rest = &rest[position + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
