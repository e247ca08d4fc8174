//! Templates, the subjects they make, and the patterns that match a part of them.

use chancery_federation::{
    MigrationError, PatternError, Shape, SubjectError, SubjectMigration, SubjectTemplate,
    TemplateError, Variable,
};

const SPACELIFT: &str = "space:{space}:{kind}:{id}:run_type:{run_type}:scope:{scope}";

fn spacelift() -> SubjectTemplate {
    SubjectTemplate::parse(
        SPACELIFT,
        [
            Variable::id("space"),
            Variable::one_of("kind", ["stack", "module"]),
            Variable::id("id"),
            Variable::one_of("run_type", ["TRACKED", "PROPOSED", "TASK"]),
            Variable::one_of("scope", ["read", "write"]),
        ],
    )
    .unwrap()
}

const VALUES: [(&str, &str); 5] = [
    ("space", "production-01HZX"),
    ("kind", "stack"),
    ("id", "payments"),
    ("run_type", "TRACKED"),
    ("scope", "write"),
];

const SUBJECT: &str = "space:production-01HZX:stack:payments:run_type:TRACKED:scope:write";

#[test]
fn values_stand_in_their_places_in_any_order() {
    let template = spacelift();
    assert_eq!(template.subject(&VALUES).unwrap(), SUBJECT);
    let mut reversed = VALUES;
    reversed.reverse();
    assert_eq!(template.subject(&reversed).unwrap(), SUBJECT);
    let mut buffer = String::from("old");
    template.render(&VALUES, &mut buffer).unwrap();
    assert_eq!(buffer, SUBJECT);
    assert_eq!(template.as_str(), SPACELIFT);
    let names: Vec<&str> = template.variables().iter().map(Variable::name).collect();
    assert_eq!(names, ["space", "kind", "id", "run_type", "scope"]);
    let constant = SubjectTemplate::parse("system:proxy", []).unwrap();
    assert_eq!(constant.subject(&[]).unwrap(), "system:proxy");
}

#[test]
fn the_five_systems_subjects_are_made() {
    let person = SubjectTemplate::parse("auth0|{id}", [Variable::id("id")]).unwrap();
    assert_eq!(
        person
            .subject(&[("id", "632b8219674bde0224a96141")])
            .unwrap(),
        "auth0|632b8219674bde0224a96141"
    );
    let context = SubjectTemplate::parse(
        "https://{host}/{owner}/{repository}",
        [
            Variable::one_of("host", ["github.com", "gitlab.com"]),
            Variable::text("owner"),
            Variable::text("repository"),
        ],
    )
    .unwrap();
    let subject = context
        .subject(&[
            ("host", "github.com"),
            ("owner", "gitpod-io"),
            ("repository", "gitpod"),
        ])
        .unwrap();
    assert_eq!(subject, "https://github.com/gitpod-io/gitpod");
}

#[test]
fn bad_templates_are_refused_with_their_place() {
    let parse = |text: &str| {
        SubjectTemplate::parse(text, [Variable::id("a"), Variable::id("b")]).unwrap_err()
    };
    let unknown = |name: &str, position| TemplateError::Unknown {
        name: name.to_owned(),
        position,
    };
    for (text, error) in [
        ("x:{a}:{c}:{b}", unknown("c", 6)),
        ("x:{a}:{A}", unknown("A", 6)),
        ("x:{a}:{b", TemplateError::Unclosed { position: 6 }),
        ("x:{a:{b}", TemplateError::Unclosed { position: 2 }),
        ("x:{", TemplateError::Unclosed { position: 2 }),
        ("x:{}:{b}", TemplateError::Name { position: 2 }),
        ("x:{a b}", TemplateError::Name { position: 2 }),
        ("x::{a}", TemplateError::EmptySegment { position: 2 }),
        (":{a}", TemplateError::EmptySegment { position: 0 }),
        ("{a}:", TemplateError::EmptySegment { position: 4 }),
        ("", TemplateError::EmptySegment { position: 0 }),
        ("{a}{b}", TemplateError::NotSeparated { position: 3 }),
        ("{a}-{b}", TemplateError::NotSeparated { position: 4 }),
        ("{a}and{b}", TemplateError::NotSeparated { position: 6 }),
        (
            "x:{a}:{a}",
            TemplateError::UsedTwice {
                name: "a".to_owned(),
                position: 6,
            },
        ),
        (
            "x:{a}",
            TemplateError::Unused {
                name: "b".to_owned(),
            },
        ),
        (
            "x*:{a}:{b}",
            TemplateError::Character {
                character: '*',
                position: 1,
            },
        ),
        (
            "{a}?{b}",
            TemplateError::Character {
                character: '?',
                position: 3,
            },
        ),
        (
            "{a}/${b}",
            TemplateError::Character {
                character: '$',
                position: 4,
            },
        ),
        (
            "{a}%3A{b}",
            TemplateError::Character {
                character: '%',
                position: 3,
            },
        ),
        (
            "{a}:}{b}",
            TemplateError::Character {
                character: '}',
                position: 4,
            },
        ),
        (
            "{a}: {b}",
            TemplateError::Character {
                character: ' ',
                position: 4,
            },
        ),
        (
            "{a}:\n{b}",
            TemplateError::Character {
                character: '\n',
                position: 4,
            },
        ),
        (
            "ä:{a}:{b}",
            TemplateError::Character {
                character: 'ä',
                position: 0,
            },
        ),
    ] {
        assert_eq!(parse(text), error, "{text}");
        assert!(
            error.to_string().starts_with("the subject template has ")
                || error.to_string().starts_with("the subject template lacks ")
        );
    }
    let declare =
        |variables: [Variable; 2]| SubjectTemplate::parse("{a}:{b}", variables).unwrap_err();
    assert_eq!(
        declare([Variable::id("a"), Variable::text("a")]),
        TemplateError::DeclaredTwice {
            name: "a".to_owned()
        }
    );
    assert_eq!(
        declare([Variable::id("a"), Variable::id("b").with_longest(0)]),
        TemplateError::NoValue {
            name: "b".to_owned()
        }
    );
    let none: [&str; 0] = [];
    assert_eq!(
        declare([Variable::id("a"), Variable::one_of("b", none)]),
        TemplateError::NoValue {
            name: "b".to_owned()
        }
    );
    for value in ["", "a:b", "*", "ä", "twice"] {
        assert_eq!(
            declare([Variable::id("a"), Variable::one_of("b", ["twice", value])]),
            TemplateError::Value {
                name: "b".to_owned(),
                value: value.to_owned()
            }
        );
    }
}

#[test]
fn bad_values_are_refused_and_leave_nothing() {
    let template = spacelift();
    let with = |changed: (&'static str, &'static str)| {
        VALUES.map(|(name, value)| {
            if name == changed.0 {
                changed
            } else {
                (name, value)
            }
        })
    };
    let refused = |values: &[(&str, &str)]| {
        let mut out = String::from("old");
        let error = template.render(values, &mut out).unwrap_err();
        assert_eq!(out, "");
        error
    };
    let id = "id".to_owned();
    assert_eq!(
        refused(&with(("id", "a:b"))),
        SubjectError::Character {
            variable: id.clone(),
            position: 1
        }
    );
    for value in ["a*", "a%3A", "a b", "a/b", "ä", "a\0"] {
        assert!(matches!(
            refused(&with(("id", value))),
            SubjectError::Character { .. }
        ));
    }
    assert_eq!(
        refused(&with(("id", ""))),
        SubjectError::Empty {
            variable: id.clone()
        }
    );
    assert_eq!(
        refused(&with(("scope", "admin"))),
        SubjectError::NotListed {
            variable: "scope".to_owned()
        }
    );
    assert_eq!(
        refused(&VALUES[..4]),
        SubjectError::Missing {
            variable: "scope".to_owned()
        }
    );
    let mut more = VALUES.to_vec();
    more.push(("other", "x"));
    assert_eq!(
        refused(&more),
        SubjectError::Superfluous {
            name: "other".to_owned()
        }
    );
    more[5] = ("id", "x");
    assert_eq!(
        refused(&more),
        SubjectError::Superfluous { name: id.clone() }
    );
    let long: &'static str = "a".repeat(65).leak();
    assert_eq!(
        refused(&with(("id", long))),
        SubjectError::TooLong {
            variable: id,
            len: 65,
            longest: 64
        }
    );
}

#[test]
fn what_users_choose_is_encoded() {
    let template = SubjectTemplate::parse(
        "project:{project}:branch:{branch}",
        [
            Variable::id("project"),
            Variable::text("branch").with_longest(27),
        ],
    )
    .unwrap();
    let subject = |branch: &str| template.subject(&[("project", "7"), ("branch", branch)]);
    for (branch, encoded) in [
        ("main", "main"),
        ("a:b", "a%3Ab"),
        ("*", "%2A"),
        ("?", "%3F"),
        ("${aws:x}", "%24%7Baws%3Ax%7D"),
        ("a/b", "a%2Fb"),
        ("%3A", "%253A"),
        ("\r\n\0", "%0D%0A%00"),
        ("a b", "a%20b"),
        ("ä", "%C3%A4"),
        ("日", "%E6%97%A5"),
        ("\u{202e}", "%E2%80%AE"),
        ("-._~", "-._~"),
        ("'\"\\`", "%27%22%5C%60"),
    ] {
        assert_eq!(
            subject(branch).unwrap(),
            format!("project:7:branch:{encoded}")
        );
    }
    assert_eq!(template.longest(), 8 + 64 + 8 + 27);
    // The length counts as it stands in the subject.
    assert!(subject(&":".repeat(9)).is_ok());
    assert_eq!(
        subject(&":".repeat(10)),
        Err(SubjectError::TooLong {
            variable: "branch".to_owned(),
            len: 30,
            longest: 27
        })
    );
    assert!(subject("").is_err());
}

#[test]
fn patterns_match_the_chosen_part() {
    let template = spacelift();
    let pattern = |chosen: &[(&str, &str)]| {
        let pattern = template.aws_pattern(chosen).unwrap();
        (
            pattern.operator(),
            pattern.value().to_owned(),
            pattern.is_identifying(),
        )
    };
    assert_eq!(
        pattern(&[("space", "production")]),
        (
            "StringLike",
            "space:production:*:*:run_type:*:scope:*".to_owned(),
            true
        )
    );
    assert_eq!(
        pattern(&[("scope", "write"), ("kind", "stack"), ("id", "42")]),
        (
            "StringLike",
            "space:*:stack:42:run_type:*:scope:write".to_owned(),
            true
        )
    );
    // The service itself says what is written; but all its customers write.
    assert_eq!(
        pattern(&[("scope", "write")]),
        (
            "StringLike",
            "space:*:*:*:run_type:*:scope:write".to_owned(),
            false
        )
    );
    assert_eq!(pattern(&VALUES), ("StringEquals", SUBJECT.to_owned(), true));
}

#[test]
fn patterns_that_users_could_widen_are_refused() {
    let template = SubjectTemplate::parse(
        "org:{org}:{ref_type}:{ref}",
        [
            Variable::id("org"),
            Variable::one_of("ref_type", ["branch", "tag"]),
            Variable::text("ref"),
        ],
    )
    .unwrap();
    assert_eq!(
        template.aws_pattern(&[("ref", "main")]),
        Err(PatternError::UserChosen {
            variable: "ref".to_owned()
        })
    );
    assert_eq!(
        template.aws_pattern(&[("ref_type", "branch"), ("ref", "main")]),
        Err(PatternError::UserChosen {
            variable: "ref".to_owned()
        })
    );
    assert_eq!(template.aws_pattern(&[]), Err(PatternError::NothingChosen));
    assert!(
        template
            .aws_pattern(&[("org", "7"), ("ref", "main")])
            .is_ok()
    );
    // What a user chooses is no pattern.
    let pattern = template.aws_pattern(&[("org", "7"), ("ref", "*")]).unwrap();
    assert_eq!(pattern.value(), "org:7:*:%2A");
    for (chosen, error) in [
        (
            ("org", "7*"),
            SubjectError::Character {
                variable: "org".to_owned(),
                position: 1,
            },
        ),
        (
            ("ref_type", "*"),
            SubjectError::NotListed {
                variable: "ref_type".to_owned(),
            },
        ),
        (
            ("other", "x"),
            SubjectError::Superfluous {
                name: "other".to_owned(),
            },
        ),
        (
            ("org", ""),
            SubjectError::Empty {
                variable: "org".to_owned(),
            },
        ),
    ] {
        assert_eq!(
            template.aws_pattern(&[chosen]),
            Err(PatternError::Value(error))
        );
    }
    assert!(matches!(
        template.aws_pattern(&[("org", "7"), ("org", "8")]),
        Err(PatternError::Value(SubjectError::Superfluous { .. }))
    ));

    // One subject, exactly: nothing to widen, though on a shared issuer it identifies nobody.
    let context = SubjectTemplate::parse(
        "https://{host}/{path}",
        [
            Variable::one_of("host", ["github.com"]),
            Variable::text("path"),
        ],
    )
    .unwrap();
    let pattern = context
        .aws_pattern(&[("host", "github.com"), ("path", "acme")])
        .unwrap();
    assert!(pattern.is_exact() && !pattern.is_identifying());
}

#[test]
fn shapes_of_a_migration_never_meet() {
    let shape = |text: &str| {
        let variables = [
            Variable::id("a"),
            Variable::text("b"),
            Variable::one_of("c", ["x", "yy"]),
        ];
        let used: Vec<Variable> = variables
            .into_iter()
            .filter(|variable| text.contains(&format!("{{{}}}", variable.name())))
            .collect();
        SubjectTemplate::parse(text, used).unwrap()
    };
    let meet = |old: &str, new: &str| {
        SubjectMigration::new(shape(old), shape(new))
            .err()
            .map(|error: MigrationError| error.subject().to_owned())
    };
    for (old, new) in [
        ("org:{a}", "org-id:{a}"),
        ("org:{a}", "org:{a}:branch:{b}"),
        ("org:{a}:x", "org:{a}:yyy"),
        ("org:{c}", "org:z{a}"),
        ("{a}/{b}", "{a}:{b}"),
        ("o:{c}:{a}", "o:xy:{a}"),
    ] {
        assert_eq!(meet(old, new), None, "{old} {new}");
        assert_eq!(meet(new, old), None, "{old} {new}");
    }
    for (old, new, common) in [
        ("org:{a}", "org:{b}", "org:a"),
        ("org:{a}", "org:{c}", "org:x"),
        ("org:{a}", "org:yy", "org:yy"),
        ("org:{a}:{c}", "org:{b}:x", "org:a:x"),
        ("a{a}:1", "{b}b:1", "ab:1"),
    ] {
        let found = meet(old, new);
        assert_eq!(found.as_deref(), Some(common), "{old} {new}");
    }
}

#[test]
fn a_pattern_for_one_shape_matches_none_of_the_other() {
    let old = SubjectTemplate::parse(
        "space:{space}:stack:{id}",
        [Variable::id("space"), Variable::id("id")],
    )
    .unwrap();
    let new = SubjectTemplate::parse(
        "space:{space}:{group}:stack:{id}",
        [
            Variable::id("space"),
            Variable::text("group"),
            Variable::id("id"),
        ],
    )
    .unwrap();
    let migration = SubjectMigration::new(old.clone(), new).unwrap();
    // `*` would take the group along.
    assert!(old.aws_pattern(&[("id", "42")]).is_ok());
    match migration.aws_pattern(Shape::Old, &[("id", "42")]) {
        Err(PatternError::OtherShape { subject }) => {
            assert!(
                subject.starts_with("space:") && subject.ends_with(":stack:42"),
                "{subject}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(
        migration
            .aws_pattern(Shape::Old, &[("space", "7"), ("id", "42")])
            .is_ok()
    );
    assert!(migration.aws_pattern(Shape::New, &[("id", "42")]).is_ok());
}
