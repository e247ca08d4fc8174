//! What clouds demand of an OpenID Connect issuer, and what they are told to trust.
//!
//! - [`aws`] is what AWS IAM reads: claims, trust policies, and a local STS that evaluates them.

pub mod aws;

mod tree;
