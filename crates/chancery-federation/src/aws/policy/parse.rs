//! The parser of policies.

use std::str::FromStr;

use super::error::{PolicyError, PolicyProblem};
use super::json::Json;
use super::operator::{Comparison, Operator};
use super::{
    ActionElement, Condition, Effect, MAX_POLICY_CHARACTERS, MAX_POLICY_LEN, Policy, Principal,
    PrincipalElement, PrincipalType, Principals, Statement, Version,
};

type Members = Vec<(String, Json)>;

const DOCUMENT: &[&str] = &["Version", "Id", "Statement"];
const STATEMENT: &[&str] = &[
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Condition",
    "Resource",
    "NotResource",
];

/// Parses the JSON of a policy.
impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(json: &str) -> Result<Self, PolicyError> {
        let place = Place::default();
        if json.len() > MAX_POLICY_LEN {
            return Err(place.error(PolicyProblem::TooLong { len: json.len() }));
        }
        check_characters(json)?;
        let document = serde_json::from_str(json).map_err(|error| {
            place.error(PolicyProblem::Json {
                line: error.line(),
                column: error.column(),
                message: message(&error),
            })
        })?;
        let policy = policy(document, &place)?;
        // Written in full it may be a little longer, and must be parsed again all the same.
        check_characters(&policy.to_string())?;
        Ok(policy)
    }
}

/// How many characters a document has without the white space between its parts. One that is
/// escaped is one character, however it is written.
fn characters(json: &str) -> usize {
    let (mut count, mut is_string) = (0, false);
    let mut characters = json.chars();
    while let Some(character) = characters.next() {
        count += usize::from(is_string || !character.is_ascii_whitespace());
        match character {
            '"' => is_string = !is_string,
            // Four digits follow upon `\u`.
            '\\' if is_string && characters.next() == Some('u') => {
                characters.nth(3);
            }
            _ => {}
        }
    }
    count
}

fn check_characters(json: &str) -> Result<(), PolicyError> {
    let characters = characters(json);
    if characters > MAX_POLICY_CHARACTERS {
        let problem = PolicyProblem::TooManyCharacters { characters };
        return Err(Place::default().error(problem));
    }
    Ok(())
}

fn policy(document: Json, place: &Place) -> Result<Policy, PolicyError> {
    let mut members = object(document, place)?;
    check_names(&members, DOCUMENT, place)?;
    let version = match take(&mut members, "Version") {
        None => Version::V2008,
        Some(value) => {
            let place = place.member("Version");
            match string(value, &place)?.as_str() {
                "2012-10-17" => Version::V2012,
                "2008-10-17" => Version::V2008,
                _ => {
                    return Err(place.error(PolicyProblem::Value {
                        expected: "`2012-10-17` or `2008-10-17`",
                    }));
                }
            }
        }
    };
    let id = take(&mut members, "Id")
        .map(|value| string(value, &place.member("Id")))
        .transpose()?;
    let inner = place.member("Statement");
    let statements = match take(&mut members, "Statement") {
        None => {
            return Err(place.error(PolicyProblem::Missing {
                element: "`Statement`",
            }));
        }
        Some(Json::Array(values)) => {
            if values.is_empty() {
                return Err(inner.error(PolicyProblem::Empty));
            }
            let parse = |(index, value)| statement(value, &inner.index(index));
            values
                .into_iter()
                .enumerate()
                .map(parse)
                .collect::<Result<Vec<_>, _>>()?
        }
        Some(value) => vec![statement(value, &inner)?],
    };
    check_sids(&statements, &inner)?;
    Ok(Policy {
        version,
        id,
        statements,
    })
}

fn statement(value: Json, place: &Place) -> Result<Statement, PolicyError> {
    let mut members = object(value, place)?;
    check_names(&members, STATEMENT, place)?;
    for name in ["Resource", "NotResource"] {
        if take(&mut members, name).is_some() {
            return Err(place.member(name).error(PolicyProblem::Prohibited));
        }
    }
    let sid = take(&mut members, "Sid")
        .map(|value| string(value, &place.member("Sid")))
        .transpose()?;
    let effect = match take(&mut members, "Effect") {
        None => {
            return Err(place.error(PolicyProblem::Missing {
                element: "`Effect`",
            }));
        }
        Some(value) => {
            let place = place.member("Effect");
            match string(value, &place)?.as_str() {
                "Allow" => Effect::Allow,
                "Deny" => Effect::Deny,
                _ => {
                    return Err(place.error(PolicyProblem::Value {
                        expected: "`Allow` or `Deny`, in this case",
                    }));
                }
            }
        }
    };
    let principal = match either(&mut members, ["Principal", "NotPrincipal"], place)? {
        ("Principal", value) => {
            PrincipalElement::Principal(principals(value, &place.member("Principal"))?)
        }
        (name, value) => PrincipalElement::NotPrincipal(principals(value, &place.member(name))?),
    };
    let action = match either(&mut members, ["Action", "NotAction"], place)? {
        ("Action", value) => ActionElement::Action(actions(value, &place.member("Action"))?),
        (name, value) => ActionElement::NotAction(actions(value, &place.member(name))?),
    };
    let conditions = match take(&mut members, "Condition") {
        None => Vec::new(),
        Some(value) => conditions(value, &place.member("Condition"))?,
    };
    Ok(Statement {
        sid,
        effect,
        principal,
        action,
        conditions,
    })
}

fn principals(value: Json, place: &Place) -> Result<Principals, PolicyError> {
    let members = match value {
        Json::Scalar {
            text,
            is_string: true,
        } => {
            return if text == "*" {
                Ok(Principals::Everyone)
            } else {
                Err(place.error(PolicyProblem::Value {
                    expected: "`*`, or an object that names the type, such as {\"Federated\": …}",
                }))
            };
        }
        value => object(value, place)?,
    };
    if members.is_empty() {
        return Err(place.error(PolicyProblem::Empty));
    }
    check_names(
        &members,
        &PrincipalType::ALL.map(PrincipalType::name),
        place,
    )?;
    let mut listed = Vec::new();
    for (name, value) in members {
        let place = place.member(&name);
        for principal_type in PrincipalType::ALL {
            if principal_type.name() == name {
                let values = strings(value, &place, string)?;
                listed.extend(values.into_iter().map(|value| Principal {
                    principal_type,
                    value,
                }));
                break;
            }
        }
    }
    Ok(Principals::Listed(listed))
}

fn actions(value: Json, place: &Place) -> Result<Vec<String>, PolicyError> {
    strings(value, place, |value, place| {
        let action = string(value, place)?;
        // A vendor and a name, or a star for all.
        let is_action = match action.split_once(':') {
            Some((vendor, name)) => !vendor.is_empty() && !name.is_empty(),
            None => action == "*",
        };
        if is_action {
            Ok(action)
        } else {
            Err(place.error(PolicyProblem::Value {
                expected: "`*` or a service and an action, such as `sts:AssumeRoleWithWebIdentity`",
            }))
        }
    })
}

fn conditions(value: Json, place: &Place) -> Result<Vec<Condition>, PolicyError> {
    let operators = object(value, place)?;
    let mut conditions = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, _) in &operators {
        if seen.contains(&name.as_str()) {
            return Err(place.member(name).error(PolicyProblem::Duplicate));
        }
        seen.push(name);
    }
    for (name, keys) in operators {
        let place = place.member(&name);
        let Some(operator) = Operator::from_name(&name) else {
            let meant = operator_in_other_case(&name);
            return Err(place.error(PolicyProblem::Unknown { meant }));
        };
        let keys = object(keys, &place)?;
        if keys.is_empty() {
            return Err(place.error(PolicyProblem::Empty));
        }
        let first = conditions.len();
        for (key, values) in keys {
            let place = place.key(&key);
            if key.is_empty() {
                return Err(place.error(PolicyProblem::Value {
                    expected: "the name of a condition key",
                }));
            }
            let is_there = |condition: &Condition| condition.key.eq_ignore_ascii_case(&key);
            if conditions[first..].iter().any(is_there) {
                return Err(place.error(PolicyProblem::Duplicate));
            }
            let values = strings(values, &place, scalar)?;
            conditions.push(Condition {
                operator,
                key,
                values,
            });
        }
    }
    Ok(conditions)
}

/// The operator that the name would be if case made no difference.
fn operator_in_other_case(name: &str) -> Option<String> {
    let sets = ["", "ForAllValues:", "ForAnyValue:"];
    let spellings = Comparison::ALL.iter().flat_map(|comparison| {
        sets.into_iter().flat_map(move |set| {
            ["", "IfExists"].map(|end| format!("{set}{}{end}", comparison.name()))
        })
    });
    spellings
        .filter(|spelling| Operator::from_name(spelling).is_some())
        .find(|spelling| spelling.eq_ignore_ascii_case(name))
}

/// IAM takes letters and digits only, and each `Sid` once.
fn check_sids(statements: &[Statement], place: &Place) -> Result<(), PolicyError> {
    for (index, statement) in statements.iter().enumerate() {
        let Some(sid) = &statement.sid else { continue };
        let place = place.index(index);
        let place = place.member("Sid");
        if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(place.error(PolicyProblem::Value {
                expected: "letters and digits only",
            }));
        }
        let repeats = |earlier: &Statement| earlier.sid.as_ref() == Some(sid);
        if !sid.is_empty() && statements[..index].iter().any(repeats) {
            return Err(place.error(PolicyProblem::Duplicate));
        }
    }
    Ok(())
}

/// Refuses what is unknown, or is there twice.
fn check_names(members: &Members, known: &[&str], place: &Place) -> Result<(), PolicyError> {
    for (index, (name, _)) in members.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let meant = known
                .iter()
                .find(|known| known.eq_ignore_ascii_case(name))
                .map(|known| (*known).to_owned());
            return Err(place.member(name).error(PolicyProblem::Unknown { meant }));
        }
        if members[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(place.member(name).error(PolicyProblem::Duplicate));
        }
    }
    Ok(())
}

fn take(members: &mut Members, name: &str) -> Option<Json> {
    let index = members.iter().position(|(member, _)| member == name)?;
    Some(members.remove(index).1)
}

/// The one of two elements that is there.
fn either(
    members: &mut Members,
    names: [&'static str; 2],
    place: &Place,
) -> Result<(&'static str, Json), PolicyError> {
    let [plain, negated] = names;
    match (take(members, plain), take(members, negated)) {
        (Some(value), None) => Ok((plain, value)),
        (None, Some(value)) => Ok((negated, value)),
        (Some(_), Some(_)) => Err(place
            .member(negated)
            .error(PolicyProblem::Exclusive { other: plain })),
        (None, None) => Err(place.error(PolicyProblem::Missing {
            element: if plain == "Principal" {
                "`Principal` or `NotPrincipal`"
            } else {
                "`Action` or `NotAction`"
            },
        })),
    }
}

fn object(value: Json, place: &Place) -> Result<Members, PolicyError> {
    match value {
        Json::Object(members) => Ok(members),
        _ => Err(place.error(PolicyProblem::Type {
            expected: "an object",
        })),
    }
}

fn string(value: Json, place: &Place) -> Result<String, PolicyError> {
    match value {
        Json::Scalar {
            text,
            is_string: true,
        } => Ok(text),
        _ => Err(place.error(PolicyProblem::Type {
            expected: "a string",
        })),
    }
}

fn scalar(value: Json, place: &Place) -> Result<String, PolicyError> {
    match value {
        Json::Scalar { text, .. } => Ok(text),
        _ => Err(place.error(PolicyProblem::Type {
            expected: "a string, a number or a boolean",
        })),
    }
}

/// One value, or a list of at least one.
fn strings(
    value: Json,
    place: &Place,
    one: impl Fn(Json, &Place) -> Result<String, PolicyError>,
) -> Result<Vec<String>, PolicyError> {
    match value {
        Json::Array(values) if values.is_empty() => Err(place.error(PolicyProblem::Empty)),
        Json::Array(values) => values
            .into_iter()
            .enumerate()
            .map(|(index, value)| one(value, &place.index(index)))
            .collect(),
        value => Ok(vec![one(value, place)?]),
    }
}

/// The parser's message without the position, which is told beside it.
fn message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.find(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    }
}

/// A path to a place, written out only where something is wrong there.
#[derive(Clone, Copy, Default)]
struct Place<'a>(Option<(&'a Place<'a>, Step<'a>)>);

#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    const fn member(&'a self, name: &'a str) -> Self {
        Self(Some((self, Step::Member(name))))
    }

    /// A condition key, which has dots of its own.
    const fn key(&'a self, name: &'a str) -> Self {
        Self(Some((self, Step::Key(name))))
    }

    const fn index(&'a self, index: usize) -> Self {
        Self(Some((self, Step::Index(index))))
    }

    fn path(&self) -> String {
        let Some((parent, step)) = self.0 else {
            return String::new();
        };
        let parent = parent.path();
        match step {
            Step::Member(name) if parent.is_empty() => name.to_owned(),
            Step::Member(name) => format!("{parent}.{name}"),
            Step::Key(name) => format!("{parent}[{name:?}]"),
            Step::Index(index) => format!("{parent}[{index}]"),
        }
    }

    fn error(&self, problem: PolicyProblem) -> PolicyError {
        PolicyError::new(self.path(), problem)
    }
}
