//! What holds of subjects whatever the values.

use std::collections::HashMap;

use chancery_federation::{Shape, SubjectMigration, SubjectTemplate, Variable};
use proptest::prelude::*;

/// A template of each form, and how its values are drawn.
fn templates() -> Vec<SubjectTemplate> {
    let kinds = ["stack", "module", "s"];
    vec![
        SubjectTemplate::parse(
            "space:{a}:{b}:{c}:run:{d}",
            [
                Variable::id("a"),
                Variable::one_of("b", kinds),
                Variable::text("c").with_longest(999),
                Variable::text("d").with_longest(999),
            ],
        ),
        SubjectTemplate::parse(
            "x{a}x:y{b}y/{c}|z{d}",
            [
                Variable::text("a").with_longest(999),
                Variable::id("b"),
                Variable::one_of("c", kinds),
                Variable::text("d").with_longest(999),
            ],
        ),
        SubjectTemplate::parse(
            "{a}-:-{b}@{c}a:a{d}",
            [
                Variable::text("a").with_longest(999),
                Variable::text("b").with_longest(999),
                Variable::text("c").with_longest(999),
                Variable::id("d"),
            ],
        ),
    ]
    .into_iter()
    .collect::<Result<_, _>>()
    .unwrap()
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Values that look like parts of templates, patterns and encodings.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,3}",
        "[ax:/*?%|@${}.-]{1,5}",
        "%[0-9A-Fa-f]{2}",
        "(x:y|/|:run:|%3A|stack|module|s|42|a:a){1,3}",
        any::<String>().prop_filter("empty", |text| !text.is_empty()),
    ]
}

fn values() -> impl Strategy<Value = [String; 4]> {
    [value(), value(), value(), value()]
}

fn subject(template: &SubjectTemplate, values: &[String; 4]) -> Option<String> {
    let named: Vec<(&str, &str)> = NAMES
        .into_iter()
        .zip(values.iter().map(String::as_str))
        .collect();
    template.subject(&named).ok()
}

/// `StringLike` as AWS documents it, written apart from the library's own.
fn is_like(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skipped| is_like(rest, &text[skipped..])),
        ['?', rest @ ..] => !text.is_empty() && is_like(rest, &text[1..]),
        [first, rest @ ..] => text.first() == Some(first) && is_like(rest, &text[1..]),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    is_like(&chars(pattern), &chars(text))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Two different sets of values never give the same subject.
    #[test]
    fn subjects_are_injective(
        which in 0_usize..3,
        sets in prop::collection::vec(values(), 2..12),
    ) {
        let template = &templates()[which];
        let mut seen: HashMap<String, &[String; 4]> = HashMap::new();
        for set in &sets {
            if let Some(subject) = subject(template, set)
                && let Some(other) = seen.insert(subject.clone(), set)
            {
                prop_assert_eq!(other, set, "{}", subject);
            }
        }
    }

    /// What a user chooses is neither a separator nor a wildcard, nor a control, in the subject.
    #[test]
    fn values_add_no_structure(which in 0_usize..3, set in values()) {
        let template = &templates()[which];
        if let Some(subject) = subject(template, &set) {
            let structure = |text: &str| {
                text.chars()
                    .filter(|found| !found.is_ascii_alphanumeric() && !"-._~%".contains(*found))
                    .collect::<String>()
            };
            let literal: String = template
                .as_str()
                .split(['{', '}'])
                .step_by(2)
                .collect();
            prop_assert_eq!(structure(&subject), structure(&literal));
            prop_assert!(subject.is_ascii());
            prop_assert!(!subject.contains(['*', '?', '$']));
            prop_assert!(subject.len() <= template.longest());
        }
    }

    /// A pattern matches the subjects with the chosen values, and no others.
    #[test]
    fn patterns_match_exactly_the_chosen_part(
        which in 0_usize..3,
        chosen in 0_u8..16,
        of in values(),
        set in values(),
        same in 0_u8..16,
    ) {
        let template = &templates()[which];
        let of: [String; 4] = std::array::from_fn(|index| of[index].clone());
        // Values that are the chosen ones now and then, or nothing would ever match.
        let set: [String; 4] = std::array::from_fn(|index| {
            if same & 1 << index == 0 { set[index].clone() } else { of[index].clone() }
        });
        let fixed: Vec<(&str, &str)> = (0..4)
            .filter(|index| chosen & 1 << index != 0)
            .map(|index| (NAMES[index], of[index].as_str()))
            .collect();
        if let (Ok(pattern), Some(subject)) =
            (template.aws_pattern(&fixed), subject(template, &set))
        {
            let is_chosen = (0..4)
                .filter(|index| chosen & 1 << index != 0)
                .all(|index| of[index] == set[index]);
            let is_matched = match pattern.operator() {
                "StringEquals" => pattern.value() == subject,
                _ => matches(pattern.value(), &subject),
            };
            prop_assert_eq!(is_matched, is_chosen, "{} {}", pattern.value(), subject);
        }
    }

    /// Neither shape of a migration makes the other's subjects, and a pattern for one matches none
    /// of the other.
    #[test]
    fn shapes_stay_apart(of in values(), one in values(), other in values(), chosen in 1_u8..16) {
        let [first, second, third] = <[SubjectTemplate; 3]>::try_from(templates()).unwrap();
        for (old, new) in [(&first, &second), (&second, &third), (&first, &third)] {
            let migration = SubjectMigration::new(old.clone(), new.clone()).unwrap();
            let (Some(old), Some(new)) = (subject(old, &one), subject(new, &other)) else {
                continue;
            };
            prop_assert_ne!(&old, &new);
            let fixed: Vec<(&str, &str)> = (0..4)
                .filter(|index| chosen & 1 << index != 0)
                .map(|index| (NAMES[index], of[index].as_str()))
                .collect();
            if let Ok(pattern) = migration.aws_pattern(Shape::Old, &fixed) {
                prop_assert!(!matches(pattern.value(), &new), "{} {}", pattern.value(), new);
            }
            if let Ok(pattern) = migration.aws_pattern(Shape::New, &fixed) {
                prop_assert!(!matches(pattern.value(), &old), "{} {}", pattern.value(), old);
            }
        }
    }
}
