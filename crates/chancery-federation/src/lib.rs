//! What clouds demand of an OpenID Connect issuer, and what they are told to trust.
//!
//! - [`aws`] is what AWS IAM reads: claims, trust policies, and a local STS that evaluates them.
//! - [`azure`], [`ceph`], [`google`], [`kubernetes`], [`minio`] and [`vault`] write what each of them
//!   has to be told to trust an issuer.

pub mod aws;
pub mod azure;
pub mod ceph;
pub mod google;
pub mod kubernetes;
pub mod minio;
pub mod vault;

mod binding;
mod cel;
mod finding;
mod language;
mod relying_party;
mod sharing;
mod shell;
mod subject_error;
mod subject_migration;
mod subject_pattern;
mod subject_template;
mod token_file;
mod tree;

pub use crate::binding::{Binding, Bindings, Refused};
pub use crate::finding::{Finding, Severity};
pub use crate::relying_party::{Certainty, Length, RelyingParty, Requirement, Rule, Unit};
pub use crate::sharing::Sharing;
pub use crate::subject_error::{SubjectError, TemplateError};
pub use crate::subject_migration::{MigrationError, Shape, SubjectMigration};
pub use crate::subject_pattern::{PatternError, SubjectPattern};
pub use crate::subject_template::{SubjectTemplate, Variable};
pub use crate::token_file::{TokenFile, TokenFileError, TokenKeeper, TokenKeeperThread};
