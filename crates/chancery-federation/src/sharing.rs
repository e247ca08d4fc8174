//! Whom an issuer makes tokens for.

/// Whom an issuer makes tokens for. A trust policy that lets in every token of a shared issuer lets
/// in every customer, and is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One customer, who owns every subject: an issuer of his own.
    OneCustomer,
    /// Several customers, who differ in their tokens' subjects.
    ManyCustomers,
}
