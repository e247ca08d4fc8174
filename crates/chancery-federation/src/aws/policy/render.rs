//! Policies as JSON.

use std::fmt;

use super::{ActionElement, Condition, Policy, Principal, PrincipalElement, PrincipalType};
use super::{Principals, Statement};
use crate::tree::Tree;

impl Policy {
    /// The document, its elements in the order of the grammar.
    pub(crate) fn to_tree(&self) -> Tree {
        let mut members = vec![("Version", Tree::text(self.version.name()))];
        members.extend(self.id.as_ref().map(|id| ("Id", Tree::text(id))));
        let statements = self.statements.iter().map(statement).collect();
        members.push(("Statement", Tree::List(statements)));
        Tree::object(members)
    }

    /// The JSON, indented by two spaces.
    #[must_use]
    pub fn to_pretty_json(&self) -> String {
        self.to_tree().to_pretty_json()
    }
}

/// Writes the JSON, compact and in the order of the grammar.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_tree().write_json(f)
    }
}

fn statement(statement: &Statement) -> Tree {
    let mut members: Vec<_> = statement
        .sid
        .iter()
        .map(|sid| ("Sid", Tree::text(sid)))
        .collect();
    members.push(("Effect", Tree::text(statement.effect.name())));
    members.push(match &statement.principal {
        PrincipalElement::Principal(listed) => ("Principal", principals(listed)),
        PrincipalElement::NotPrincipal(listed) => ("NotPrincipal", principals(listed)),
    });
    members.push(match &statement.action {
        ActionElement::Action(patterns) => ("Action", Tree::one_or_more(patterns)),
        ActionElement::NotAction(patterns) => ("NotAction", Tree::one_or_more(patterns)),
    });
    if !statement.conditions.is_empty() {
        members.push(("Condition", conditions(&statement.conditions)));
    }
    Tree::object(members)
}

fn principals(principals: &Principals) -> Tree {
    let Principals::Listed(listed) = principals else {
        return Tree::text("*");
    };
    let mut members: Vec<(&str, Vec<String>)> = Vec::new();
    for Principal {
        principal_type,
        value,
    } in listed
    {
        let name = PrincipalType::name(*principal_type);
        match members.iter_mut().find(|(member, _)| *member == name) {
            Some((_, values)) => values.push(value.clone()),
            None => members.push((name, vec![value.clone()])),
        }
    }
    let member = |(name, values): (&'static str, Vec<String>)| (name, Tree::one_or_more(&values));
    Tree::object(members.into_iter().map(member))
}

/// The conditions, those of one operator under one name.
fn conditions(conditions: &[Condition]) -> Tree {
    let mut operators: Vec<(String, Vec<(String, Tree)>)> = Vec::new();
    for condition in conditions {
        let name = condition.operator.to_string();
        let entry = (condition.key.clone(), Tree::one_or_more(&condition.values));
        match operators.iter_mut().find(|(operator, _)| *operator == name) {
            Some((_, keys)) => keys.push(entry),
            None => operators.push((name, vec![entry])),
        }
    }
    let member = |(name, keys)| (name, Tree::Object(keys));
    Tree::Object(operators.into_iter().map(member).collect())
}
