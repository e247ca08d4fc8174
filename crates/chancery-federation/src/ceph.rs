//! Ceph's object gateway (RGW), whose STS takes AWS's calls.

use chancery_core::IssuerUrl;

use crate::aws::{Provider, ProviderError};

/// The provider of a tenant of the gateway; the default tenant's name is empty (Ceph, "STS in
/// Ceph").
///
/// [`TrustPolicy`](crate::aws::TrustPolicy) and [`Setup`](crate::aws::Setup) take it as they take
/// one of AWS, and [`Setup::ceph_commands`](crate::aws::Setup::ceph_commands) writes the commands.
///
/// ```
/// use chancery_core::IssuerUrl;
/// use chancery_federation::{Sharing, aws, ceph};
///
/// let url = IssuerUrl::parse("https://id.example.com")?;
/// let provider = ceph::provider("", url, ["ceph"])?
///     .with_thumbprint("0123456789abcdef0123456789abcdef01234567")?;
/// assert_eq!(provider.arn(), "arn:aws:iam:::oidc-provider/id.example.com");
/// let policy = aws::TrustPolicy::new(&provider, Sharing::ManyCustomers)
///     .subject("space:1:job:42")
///     .build()?;
/// let setup = aws::Setup::new(provider).with_role("deploy", policy)?;
/// assert!(setup.ceph_commands("https://rgw.example.com")?.contains("--endpoint-url"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ProviderError`] when the tenant's name is not of letters, digits and `_`, or the gateway would
/// refuse the URL or an audience.
pub fn provider<C: Into<String>>(
    tenant: &str,
    url: IssuerUrl,
    client_ids: impl IntoIterator<Item = C>,
) -> Result<Provider, ProviderError> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !tenant.bytes().all(is_name) {
        return Err(ProviderError::Account);
    }
    Provider::of_account(
        tenant,
        url,
        client_ids.into_iter().map(Into::into).collect(),
    )
}
