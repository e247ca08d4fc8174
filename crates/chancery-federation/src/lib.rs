//! What clouds demand of an OpenID Connect issuer, and what they are told to trust.
//!
//! # Tokens that are not refused
//!
//! A [`RelyingParty`] is a service that takes tokens, as data: each of its rules with how certain
//! it is and who says so. It checks issuers, claims and templates, and tells what is wrong, why, and
//! how it is mended ([`Finding`]). [`Bindings`] bind audiences to relying parties: the issuer then
//! mints no token that its reader is certain to refuse, and signs with the fastest algorithm that
//! the reader takes.
//!
//! # Subjects that nobody can forge
//!
//! A [`SubjectTemplate`] makes subjects out of values; what users choose is always encoded, so that
//! no two sets of values give the same subject. Its patterns ([`SubjectPattern`]) match a chosen part
//! of them, and are refused where a user could widen them. [`SubjectMigration`] keeps two shapes side
//! by side.
//!
//! # Trust
//!
//! - [`aws`] is what AWS IAM reads: session tags and the source identity, trust policies with
//!   provider and roles, a linter for them, and a local STS that says what AWS would answer to a
//!   token.
//! - [`azure`], [`ceph`], [`google`], [`kubernetes`], [`minio`] and [`vault`] write what each of them
//!   has to be told to trust an issuer.
//! - A [`TokenFile`] is where the clouds' own tools find a job's token, kept fresh.
//!
//! From an issuer to AWS's answer:
//!
//! ```
//! # #[cfg(feature = "ring")] {
//! use std::sync::Arc;
//! use chancery_core::{
//!     Algorithm, Claims, Clock as _, Issuer, IssuerUrl, JwkSet, KeySet, Schedule, ScheduledKey,
//!     SystemClock,
//! };
//! use chancery_federation::aws::{self, Outcome, Provider, TrustPolicy};
//! use chancery_federation::{
//!     Binding, Bindings, RelyingParty, Sharing, SubjectTemplate, Variable,
//! };
//! use chancery_software::{Engine, SoftwareSigner};
//!
//! // The service.
//! let signer = SoftwareSigner::generate(Algorithm::Es256, Engine::Ring)?;
//! let keys = KeySet::new(vec![ScheduledKey::new(Arc::new(signer), Schedule::ALWAYS)])?;
//! let bindings = Bindings::new([Binding::new("sts.amazonaws.com", RelyingParty::AWS)]);
//! let issuer = Issuer::builder(IssuerUrl::parse("https://id.example.com")?, keys)
//!     .token_policy(Arc::new(bindings))
//!     .build()?;
//! let template = SubjectTemplate::parse(
//!     "org:{org}:repo:{repo}",
//!     [Variable::id("org"), Variable::text("repo")],
//! )?;
//! let subject = template.subject(&[("org", "7"), ("repo", "site")])?;
//! let token = issuer.issue(&Claims::new(subject).with_audience("sts.amazonaws.com"))?;
//!
//! // The customer's account.
//! let provider = Provider::new("123456789012", issuer.url().clone(), ["sts.amazonaws.com"])?
//!     .with_keys(JwkSet::from_json(issuer.jwks()?.bytes())?);
//! let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
//!     .subject_pattern(&template.aws_pattern(&[("org", "7")])?)
//!     .build()?;
//!
//! let answer = aws::simulate(&policy, &provider, token.as_str(), SystemClock.now());
//! assert!(matches!(answer, Outcome::Allowed(_)));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! `ring`, on by default, and `aws-lc-rs` are what the local STS verifies tokens with.

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
