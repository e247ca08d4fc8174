//! Trust policies as typed data.

mod error;
mod json;
mod operator;
mod parse;
mod render;

use std::fmt;

pub(super) use self::json::repeats_member;

pub use self::error::{PolicyError, PolicyProblem};
pub use self::operator::{Comparison, Operator, SetOperator};

/// The longest policy that is parsed, in bytes: what IAM's API takes (`AssumeRolePolicyDocument`,
/// IAM API reference, CreateRole).
pub const MAX_POLICY_LEN: usize = 131_072;

/// The longest policy that is parsed, in characters without the white space between its parts: as
/// far as AWS raises the quota of a trust policy (IAM User Guide, "IAM and AWS STS quotas"). So what
/// a policy costs to parse and to evaluate is bounded as well.
pub const MAX_POLICY_CHARACTERS: usize = 4096;

/// A policy document of AWS IAM, as far as a role's trust policy needs it (IAM User Guide, "Grammar
/// of the IAM JSON policy language").
///
/// Its JSON is parsed by [`str::parse`] and written by `Display`, compact and in the order of the
/// grammar.
///
/// ```
/// use chancery_federation::aws::Policy;
///
/// let policy: Policy = r#"{
///   "Version": "2012-10-17",
///   "Statement": {
///     "Effect": "Allow",
///     "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/id.example.com"},
///     "Action": "sts:AssumeRoleWithWebIdentity",
///     "Condition": {"StringEquals": {"id.example.com:sub": "job:42"}}
///   }
/// }"#
/// .parse()?;
/// assert_eq!(policy.statements[0].conditions[0].values, ["job:42"]);
///
/// let error = r#"{"Statement": [{"Effect": "allow"}]}"#.parse::<Policy>().unwrap_err();
/// assert_eq!(error.place(), "Statement[0].Effect");
/// # Ok::<(), chancery_federation::aws::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The version of the language. A document that names none is of 2008.
    pub version: Version,
    /// The `Id`, which evaluation does not look at.
    pub id: Option<String>,
    /// The statements, at least one where the document was parsed.
    pub statements: Vec<Statement>,
}

/// The version of the policy language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `2008-10-17`, which has no policy variables.
    V2008,
    /// `2012-10-17`.
    V2012,
}

/// One statement of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The `Sid`, unique within the policy.
    pub sid: Option<String>,
    /// What happens where the statement matches.
    pub effect: Effect,
    /// Whom it is about.
    pub principal: PrincipalElement,
    /// Which actions it is about.
    pub action: ActionElement,
    /// What must hold as well, all of it.
    pub conditions: Vec<Condition>,
}

/// What a statement does where it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Allows, unless another statement denies.
    Allow,
    /// Denies, whatever else allows.
    Deny,
}

/// The element `Principal` or `NotPrincipal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalElement {
    /// One of these.
    Principal(Principals),
    /// Anybody but these.
    NotPrincipal(Principals),
}

/// The principals that an element lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principals {
    /// `"*"`.
    Everyone,
    /// The principals of each type, in the order of the document.
    Listed(Vec<Principal>),
}

/// One principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The type, which says how the value is read.
    pub principal_type: PrincipalType,
    /// An ARN, an account, a service, or `*`.
    pub value: String,
}

/// The type of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalType {
    /// `AWS`: an account, user, role or session.
    Aws,
    /// `Federated`: an identity provider.
    Federated,
    /// `Service`.
    Service,
    /// `CanonicalUser`.
    CanonicalUser,
}

/// The element `Action` or `NotAction`. Each pattern may hold `*` and `?`, and case makes no
/// difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionElement {
    /// One of these.
    Action(Vec<String>),
    /// Any but these.
    NotAction(Vec<String>),
}

/// One condition: an operator, a key of the request's context, and the values it is compared with,
/// of which one must match, or none where the operator is a negated one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How it is compared.
    pub operator: Operator,
    /// The name of the key, whose case makes no difference.
    pub key: String,
    /// The values, numbers and booleans as text.
    pub values: Vec<String>,
}

impl Policy {
    /// The length of the document without white space between its parts, in characters. A trust
    /// policy has at most 2048, which AWS raises to 4096 where asked (IAM User Guide, "IAM and AWS
    /// STS quotas").
    #[must_use]
    pub fn characters(&self) -> usize {
        self.to_string().chars().count()
    }
}

impl Version {
    /// The name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2008 => "2008-10-17",
            Self::V2012 => "2012-10-17",
        }
    }
}

impl Effect {
    /// The name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

impl PrincipalType {
    pub(crate) const ALL: [Self; 4] = [
        Self::Aws,
        Self::Federated,
        Self::Service,
        Self::CanonicalUser,
    ];

    /// The name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::Federated => "Federated",
            Self::Service => "Service",
            Self::CanonicalUser => "CanonicalUser",
        }
    }
}

/// Writes the operator, the key and the values, as an error or a finding quotes them.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.operator, self.key, self.values)
    }
}
