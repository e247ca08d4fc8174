//! The OpenID Connect provider that an account registers in IAM.

use std::fmt;

use chancery_core::{IssuerUrl, JwkSet};

/// The most audiences of a provider (IAM User Guide, "IAM and AWS STS quotas").
const MAX_CLIENT_IDS: usize = 100;
/// The longest URL and the longest audience (IAM API Reference, CreateOpenIDConnectProvider).
const MAX_LEN: usize = 255;
const MAX_THUMBPRINTS: usize = 5;

/// An OpenID Connect provider of one AWS account: the issuer's URL, and the audiences that the
/// account takes tokens for.
///
/// ```
/// use chancery_core::IssuerUrl;
/// use chancery_federation::aws::Provider;
///
/// let url = IssuerUrl::parse("https://id.example.com/tenant/")?;
/// let provider = Provider::new("111122223333", url, ["sts.amazonaws.com"])?;
/// assert_eq!(
///     provider.arn(),
///     "arn:aws:iam::111122223333:oidc-provider/id.example.com/tenant/"
/// );
/// assert_eq!(provider.condition_key("sub"), "id.example.com/tenant/:sub");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Provider {
    account: String,
    url: IssuerUrl,
    client_ids: Vec<String>,
    thumbprints: Vec<String>,
    keys: Option<JwkSet>,
    arn: String,
    pub(super) condition_keys: ConditionKeys,
}

/// The names of the keys that a token fills, made once.
#[derive(Clone, Debug)]
pub(super) struct ConditionKeys {
    pub(super) aud: String,
    pub(super) oaud: String,
    pub(super) sub: String,
    pub(super) amr: String,
    pub(super) email: String,
}

/// The claims of a private issuer's token that are condition keys (IAM User Guide, "Available keys
/// for AWS OIDC federation").
pub(super) const CONDITION_CLAIMS: [&str; 5] = ["aud", "oaud", "sub", "amr", "email"];

/// A group of regions with accounts of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partition {
    /// `aws`, the commercial regions.
    #[default]
    Aws,
    /// `aws-cn`, China.
    China,
    /// `aws-us-gov`, GovCloud.
    GovCloud,
}

impl Partition {
    /// The name in ARNs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::GovCloud => "aws-us-gov",
        }
    }
}

impl Provider {
    /// A provider of an account, in the commercial partition.
    ///
    /// # Errors
    /// [`ProviderError`] when IAM would refuse the account, the URL or an audience.
    pub fn new<C: Into<String>>(
        account: &str,
        url: IssuerUrl,
        client_ids: impl IntoIterator<Item = C>,
    ) -> Result<Self, ProviderError> {
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ProviderError::Account);
        }
        Self::of_account(
            account,
            url,
            client_ids.into_iter().map(Into::into).collect(),
        )
    }

    /// A provider of an account whose name is checked already.
    pub(crate) fn of_account(
        account: &str,
        url: IssuerUrl,
        client_ids: Vec<String>,
    ) -> Result<Self, ProviderError> {
        let Some(prefix) = url.as_str().strip_prefix("https://") else {
            return Err(ProviderError::NotHttps);
        };
        let len = url.as_str().len();
        if len > MAX_LEN {
            return Err(ProviderError::UrlLength { len });
        }
        if client_ids.is_empty() || client_ids.len() > MAX_CLIENT_IDS {
            return Err(ProviderError::ClientIds {
                count: client_ids.len(),
            });
        }
        for (index, client_id) in client_ids.iter().enumerate() {
            let len = client_id.chars().count();
            if len == 0 || len > MAX_LEN {
                return Err(ProviderError::ClientIdLength { index, len });
            }
            if client_ids[..index].contains(client_id) {
                return Err(ProviderError::ClientIdTwice { index });
            }
        }
        let [aud, oaud, sub, amr, email] =
            CONDITION_CLAIMS.map(|claim| format!("{prefix}:{claim}"));
        let arn = arn(Partition::default(), account, prefix);
        Ok(Self {
            account: account.to_owned(),
            url,
            client_ids,
            thumbprints: Vec::new(),
            keys: None,
            arn,
            condition_keys: ConditionKeys {
                aud,
                oaud,
                sub,
                amr,
                email,
            },
        })
    }

    /// Puts it into another partition.
    #[must_use]
    pub fn with_partition(mut self, partition: Partition) -> Self {
        self.arn = arn(partition, &self.account, self.prefix());
        self
    }

    /// Pins the certificate authority by its thumbprint, which [`thumbprint`](crate::aws::thumbprint)
    /// computes. IAM fetches it by itself where none is given, and looks at it only where the
    /// authority is not one that AWS trusts.
    ///
    /// # Errors
    /// [`ProviderError::Thumbprint`] unless it is of 40 hexadecimal digits, and there are at most
    /// five.
    pub fn with_thumbprint(mut self, thumbprint: &str) -> Result<Self, ProviderError> {
        let is_sha1 =
            thumbprint.len() == 40 && thumbprint.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_sha1 || self.thumbprints.len() == MAX_THUMBPRINTS {
            return Err(ProviderError::Thumbprint);
        }
        self.thumbprints.push(thumbprint.to_ascii_lowercase());
        Ok(self)
    }

    /// Gives the keys that AWS would fetch from the issuer's `jwks_uri`, for
    /// [`simulate`](crate::aws::simulate) to verify with.
    #[must_use]
    pub fn with_keys(mut self, keys: JwkSet) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The ARN, as a trust policy names it.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The account, twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The issuer's URL.
    #[must_use]
    pub const fn url(&self) -> &IssuerUrl {
        &self.url
    }

    /// The audiences.
    #[must_use]
    pub fn client_ids(&self) -> &[String] {
        &self.client_ids
    }

    /// The thumbprints, in lower case.
    #[must_use]
    pub fn thumbprints(&self) -> &[String] {
        &self.thumbprints
    }

    /// The keys to verify with.
    #[must_use]
    pub const fn keys(&self) -> Option<&JwkSet> {
        self.keys.as_ref()
    }

    /// What stands before the colon of its condition keys and behind the slash of its ARN: the URL
    /// without `https://`, with its path and its last slash.
    #[must_use]
    pub fn prefix(&self) -> &str {
        let url = self.url.as_str();
        url.strip_prefix("https://").unwrap_or(url)
    }

    /// The name of a condition key: `sub` is `id.example.com:sub`.
    #[must_use]
    pub fn condition_key(&self, claim: &str) -> String {
        format!("{}:{claim}", self.prefix())
    }
}

fn arn(partition: Partition, account: &str, prefix: &str) -> String {
    format!(
        "arn:{}:iam::{account}:oidc-provider/{prefix}",
        partition.name()
    )
}

/// Why IAM would refuse a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderError {
    /// The account is not twelve digits, or the tenant of Ceph not of letters, digits and `_`.
    Account,
    /// The URL does not begin with `https://`.
    NotHttps,
    /// The URL is too long.
    UrlLength {
        /// Its length in bytes.
        len: usize,
    },
    /// There is no audience, or too many.
    ClientIds {
        /// How many there are.
        count: usize,
    },
    /// An audience is empty or too long.
    ClientIdLength {
        /// Which one, from 0.
        index: usize,
        /// Its length in characters.
        len: usize,
    },
    /// An audience is there twice.
    ClientIdTwice {
        /// The second one, from 0.
        index: usize,
    },
    /// A thumbprint is not 40 hexadecimal digits, or the sixth.
    Thumbprint,
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => f.write_str(
                "an account of AWS is twelve digits, a tenant of Ceph letters, digits and _",
            ),
            Self::NotHttps => f.write_str("AWS takes an issuer only at https://"),
            Self::UrlLength { len } => write!(
                f,
                "the issuer's URL has {len} bytes; IAM takes at most {MAX_LEN}"
            ),
            Self::ClientIds { count } => write!(
                f,
                "the provider has {count} audiences; IAM takes 1 to {MAX_CLIENT_IDS}"
            ),
            Self::ClientIdLength { index, len } => write!(
                f,
                "audience {index} has {len} characters; IAM takes 1 to {MAX_LEN}"
            ),
            Self::ClientIdTwice { index } => {
                write!(f, "audience {index} is there twice; name each once")
            }
            Self::Thumbprint => write!(
                f,
                "a thumbprint is 40 hexadecimal digits, without colons, and IAM takes at most {MAX_THUMBPRINTS}"
            ),
        }
    }
}

impl std::error::Error for ProviderError {}
