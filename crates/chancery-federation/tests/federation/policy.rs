//! The parser of policies: what it takes, and where it says that something is wrong.

use chancery_federation::aws::{
    ActionElement, Comparison, Operator, Policy, PolicyProblem, Principals, SetOperator, Version,
};

const STATEMENT: &str =
    r#""Effect":"Allow","Principal":{"Federated":"arn"},"Action":"sts:AssumeRoleWithWebIdentity""#;

#[test]
fn every_form_of_the_grammar_is_taken() {
    let policy: Policy = r#"{
        "Id": "x", "Version": "2008-10-17",
        "Statement": [
            {"Sid": "One", "Effect": "Allow", "Principal": "*", "Action": ["sts:*", "*"]},
            {"Sid": "", "Effect": "Deny",
             "NotPrincipal": {"AWS": ["1", "2"], "Service": "s", "CanonicalUser": "c"},
             "NotAction": "sts:TagSession",
             "Condition": {"ForAnyValue:StringLikeIfExists": {"a:b": ["x", 1, 1.5, true]},
                           "Null": {"a:b": false}}}
        ]
    }"#
    .parse()
    .unwrap();
    assert_eq!(policy.version, Version::V2008);
    assert_eq!(policy.id.as_deref(), Some("x"));
    let [one, two] = &policy.statements[..] else {
        panic!("two statements");
    };
    assert_eq!(one.sid.as_deref(), Some("One"));
    assert!(matches!(
        &one.principal,
        chancery_federation::aws::PrincipalElement::Principal(Principals::Everyone)
    ));
    assert_eq!(
        two.action,
        ActionElement::NotAction(vec!["sts:TagSession".to_owned()])
    );
    assert_eq!(
        two.conditions[0].operator,
        Operator {
            set: Some(SetOperator::ForAnyValue),
            comparison: Comparison::StringLike,
            if_exists: true,
        }
    );
    assert_eq!(two.conditions[0].values, ["x", "1", "1.5", "true"]);
    assert_eq!(two.conditions[1].values, ["false"]);
    // Written and read again, it is the same.
    assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
    assert_eq!(policy.to_pretty_json().parse::<Policy>().unwrap(), policy);
}

#[test]
fn a_single_statement_needs_no_list() {
    let policy: Policy = format!(r#"{{"Statement":{{{STATEMENT}}}}}"#)
        .parse()
        .unwrap();
    assert_eq!(policy.version, Version::V2008);
    assert_eq!(
        policy.to_string(),
        format!(r#"{{"Version":"2008-10-17","Statement":[{{{STATEMENT}}}]}}"#)
    );
    assert_eq!(policy.characters(), policy.to_string().len());
}

#[test]
fn every_operator_is_known_by_its_name() {
    for comparison in Comparison::ALL {
        for set in [
            None,
            Some(SetOperator::ForAllValues),
            Some(SetOperator::ForAnyValue),
        ] {
            for if_exists in [false, true] {
                let operator = Operator {
                    set,
                    comparison: *comparison,
                    if_exists,
                };
                let expected = (*comparison != Comparison::Null || !if_exists).then_some(operator);
                assert_eq!(Operator::from_name(&operator.to_string()), expected);
            }
        }
    }
    assert_eq!(Comparison::ALL.len(), 27);
}

/// A policy that is wrong, the place, and a part of the message.
const WRONG: &[(&str, &str, &str)] = &[
    ("", "", "no JSON from line 1"),
    ("{\n  \"Version\" 1}", "", "line 2, column 13"),
    ("[]", "", "must be an object"),
    ("{}", "", "needs `Statement`"),
    (r#"{"Statement":[]}"#, "Statement", "must not be empty"),
    (r#"{"Statement":1}"#, "Statement", "must be an object"),
    (r#"{"statement":[]}"#, "statement", "write `Statement`"),
    (
        r#"{"Statement":[],"Statement":[]}"#,
        "Statement",
        "there twice",
    ),
    (
        r#"{"Version":"2012-10-18","Statement":[{S}]}"#,
        "Version",
        "`2012-10-17`",
    ),
    (
        r#"{"Version":20121017,"Statement":[{S}]}"#,
        "Version",
        "a string",
    ),
    (r#"{"Policy":1,"Statement":[{S}]}"#, "Policy", "unknown"),
    (
        r#"{"Statement":[{S},{S,"Effect":"Deny"}]}"#,
        "Statement[1].Effect",
        "twice",
    ),
    (
        r#"{"Statement":[{S,"Resource":"*"}]}"#,
        "Statement[0].Resource",
        "left out",
    ),
    (
        r#"{"Statement":{S,"NotResource":"*"}}"#,
        "Statement.NotResource",
        "left out",
    ),
    (
        r#"{"Statement":[{"Effect":"allow"}]}"#,
        "Statement[0].Effect",
        "in this case",
    ),
    (
        r#"{"Statement":[{"Principal":"*","Action":"*"}]}"#,
        "Statement[0]",
        "needs `Effect`",
    ),
    (
        r#"{"Statement":[{"Effect":"Allow","Action":"*"}]}"#,
        "Statement[0]",
        "`NotPrincipal`",
    ),
    (
        r#"{"Statement":[{"Effect":"Allow","Principal":"*"}]}"#,
        "Statement[0]",
        "`NotAction`",
    ),
    (
        r#"{"Statement":[{S,"NotPrincipal":"*"}]}"#,
        "Statement[0].NotPrincipal",
        "beside Principal",
    ),
    (
        r#"{"Statement":[{S,"NotAction":"*"}]}"#,
        "Statement[0].NotAction",
        "beside Action",
    ),
    (
        r#"{"Statement":[{"Effect":"Allow","Principal":"x","Action":"*"}]}"#,
        "Statement[0].Principal",
        "Federated",
    ),
    (
        r#"{"Statement":[{"Effect":"Allow","Principal":{},"Action":"*"}]}"#,
        "Statement[0].Principal",
        "empty",
    ),
    (
        r#"{"Statement":[{"Effect":"Allow","Principal":{"federated":"x"},"Action":"*"}]}"#,
        "Statement[0].Principal.federated",
        "`Federated`",
    ),
    (
        r#"{"Statement":[{"Effect":"Allow","Principal":{"Federated":[]},"Action":"*"}]}"#,
        "Statement[0].Principal.Federated",
        "empty",
    ),
    (
        r#"{"Statement":[{"Effect":"Allow","Principal":{"Federated":["x",1]},"Action":"*"}]}"#,
        "Statement[0].Principal.Federated[1]",
        "a string",
    ),
    (
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":["sts:*","AssumeRole"]}]}"#,
        "Statement[0].Action[1]",
        "a service and an action",
    ),
    (
        r#"{"Statement":[{S,"Sid":"a-b"}]}"#,
        "Statement[0].Sid",
        "letters and digits",
    ),
    (
        r#"{"Statement":[{S,"Sid":"a"},{S,"Sid":"a"}]}"#,
        "Statement[1].Sid",
        "twice",
    ),
    (
        r#"{"Statement":[{S,"Condition":[]}]}"#,
        "Statement[0].Condition",
        "an object",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"stringequals":{"a:b":"c"}}}]}"#,
        "Statement[0].Condition.stringequals",
        "write `StringEquals`",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"ForAllvalues:StringLike":{"a:b":"c"}}}]}"#,
        "Statement[0].Condition.ForAllvalues:StringLike",
        "write `ForAllValues:StringLike`",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"StringMatches":{"a:b":"c"}}}]}"#,
        "Statement[0].Condition.StringMatches",
        "unknown to IAM",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"NullIfExists":{"a:b":"true"}}}]}"#,
        "Statement[0].Condition.NullIfExists",
        "unknown to IAM",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"StringEquals":{"a:b":"c"},"StringEquals":{"a:c":"c"}}}]}"#,
        "Statement[0].Condition.StringEquals",
        "twice",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"StringEquals":{"a:b":"c","A:B":"d"}}}]}"#,
        "Statement[0].Condition.StringEquals[\"A:B\"]",
        "twice",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"StringEquals":{}}}]}"#,
        "Statement[0].Condition.StringEquals",
        "empty",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"StringEquals":{"":"x"}}}]}"#,
        "Statement[0].Condition.StringEquals[\"\"]",
        "condition key",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"StringEquals":{"a:b":[]}}}]}"#,
        "Statement[0].Condition.StringEquals[\"a:b\"]",
        "empty",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"StringEquals":{"a:b":["x",null]}}}]}"#,
        "Statement[0].Condition.StringEquals[\"a:b\"][1]",
        "a string",
    ),
    (
        r#"{"Statement":[{S,"Condition":{"StringEquals":{"a:b":{"c":"d"}}}}]}"#,
        "Statement[0].Condition.StringEquals[\"a:b\"]",
        "a string",
    ),
];

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (json, place, message) in WRONG {
        let json = json.replace("{S", &format!("{{{STATEMENT}"));
        let error = json.parse::<Policy>().unwrap_err();
        assert_eq!(error.place(), *place, "{json}");
        assert!(error.to_string().contains(message), "{json}: {error}");
    }
}

#[test]
fn a_document_longer_than_iam_reads_is_refused() {
    let json = format!(r#"{{"Statement":{{{STATEMENT}}}}}"#);
    let fitting = json.clone() + &" ".repeat(131_072 - json.len());
    assert!(fitting.parse::<Policy>().is_ok());
    let error = (fitting + " ").parse::<Policy>().unwrap_err();
    assert_eq!(*error.problem(), PolicyProblem::TooLong { len: 131_073 });
}

/// IAM counts no white space between the parts of a document, and all of a string.
#[test]
fn a_policy_longer_than_any_quota_is_refused_before_it_costs_anything() {
    let with_id = |id: &str| {
        format!(r#"{{"Version":"2012-10-17","Id": "{id}","Statement":[{{{STATEMENT}}}]}}"#)
    };
    let counted = |json: &str| match json.parse::<Policy>().unwrap_err().problem() {
        PolicyProblem::TooManyCharacters { characters } => *characters,
        other => panic!("{other:?}"),
    };
    let bare = counted(&with_id(&"x".repeat(5000))) - 5000;
    for (filling, count) in [
        ("x", 1),
        (" ", 1),
        ("é", 1),
        (r"\u00e9", 1),
        (r#"\\\""#, 2),
        (r"\u0022 ", 2),
    ] {
        let most = (4096 - bare) / count;
        let policy: Policy = with_id(&filling.repeat(most)).parse().unwrap();
        // What is written of it is parsed again, though it has other escapes.
        assert_eq!(policy.to_string().parse().as_ref(), Ok(&policy));
        assert_eq!(policy.to_pretty_json().parse().as_ref(), Ok(&policy));
        let longer = counted(&with_id(&filling.repeat(most + 1)));
        assert_eq!(longer, bare + (most + 1) * count, "{filling:?}");
    }
    // Numbers are written as strings, so that these are longer than they look.
    let numbers = |count: usize| {
        let numbers = vec!["1"; count].join(",");
        format!(
            r#"{{"Statement":{{{STATEMENT},"Condition":{{"NumericEquals":{{"a:b":[{numbers}]}}}}}}}}"#
        )
    };
    let policy: Policy = numbers(900).parse().unwrap();
    assert_eq!(policy.to_string().parse().as_ref(), Ok(&policy));
    assert!(numbers(1100).len() < 4096);
    assert!(counted(&numbers(1100)) > 4096);
    // Each of these made the parser or the evaluator compare everything with everything.
    let many = |one: fn(usize) -> String| (0..8000).map(one).collect::<Vec<_>>().join(",");
    let keys = many(|number| format!(r#""k:{number}":"""#));
    let sids = many(|number| format!(r#"{{"Sid":"{number}"}}"#));
    for hostile in [
        format!(r#"{{"Statement":{{{STATEMENT},"Condition":{{"StringEquals":{{{keys}}}}}}}}}"#),
        format!(r#"{{"Statement":[{sids}]}}"#),
        with_id(&"*a".repeat(60_000)),
    ] {
        let hostile = hostile.get(..131_072).unwrap_or(&hostile);
        let started = std::time::Instant::now();
        assert!(counted(hostile) > 90_000);
        // It is counted, and not so much as parsed.
        assert!(started.elapsed() < std::time::Duration::from_millis(250));
    }
}

#[test]
fn nothing_is_too_deep() {
    let json = r#"{"Statement":"#.to_owned() + &"[".repeat(4_000);
    let error = json.parse::<Policy>().unwrap_err();
    assert!(error.to_string().contains("no JSON"), "{error}");
}
