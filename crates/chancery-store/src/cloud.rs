//! Clients of the object stores in clouds, with bounded patience.

use crate::error::StoreError;
use crate::open::Options;
use crate::store::Store;

/// Opens a bucket or a container: settings of the environment first, ours next, options last.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
macro_rules! open {
    ($builder:ty, $key:ident, $location:expr, $options:expr) => {{
        use crate::client::Client;
        use object_store::ClientConfigKey::{ConnectTimeout, Timeout};

        let mut builder = <$builder>::from_env()
            .with_config($key::Client(ConnectTimeout), CONNECT_TIMEOUT)
            .with_config($key::Client(Timeout), REQUEST_TIMEOUT)
            .with_retry(retry())
            .with_url($location);
        for (name, value) in $options {
            let key = name.to_ascii_lowercase().parse::<$key>();
            builder = builder.with_config(key.map_err(|error| unknown(name, error))?, value);
        }
        let store = builder.build().map_err(|error| invalid($location, error))?;
        let client = Client::new(Box::new(store), $location.to_owned());
        Ok(Store::client(client))
    }};
}

#[cfg(feature = "aws")]
pub(crate) fn s3(location: &str, options: Options) -> Result<Store, StoreError> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    open!(AmazonS3Builder, AmazonS3ConfigKey, location, options)
}

#[cfg(feature = "azure")]
pub(crate) fn azure(location: &str, options: Options) -> Result<Store, StoreError> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    open!(MicrosoftAzureBuilder, AzureConfigKey, location, options)
}

#[cfg(feature = "gcp")]
pub(crate) fn google(location: &str, options: Options) -> Result<Store, StoreError> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
    open!(
        GoogleCloudStorageBuilder,
        GoogleConfigKey,
        location,
        options
    )
}

#[cfg(not(feature = "aws"))]
pub(crate) fn s3(location: &str, _options: Options) -> Result<Store, StoreError> {
    Err(missing(location, "aws"))
}

#[cfg(not(feature = "azure"))]
pub(crate) fn azure(location: &str, _options: Options) -> Result<Store, StoreError> {
    Err(missing(location, "azure"))
}

#[cfg(not(feature = "gcp"))]
pub(crate) fn google(location: &str, _options: Options) -> Result<Store, StoreError> {
    Err(missing(location, "gcp"))
}

#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
mod patience {
    use std::time::Duration;

    use object_store::{BackoffConfig, Error, RetryConfig};

    use crate::error::StoreError;

    pub(super) const CONNECT_TIMEOUT: &str = "2 seconds";
    pub(super) const REQUEST_TIMEOUT: &str = "5 seconds";

    /// With the last request's timeout, all stays below the deadline of a method.
    pub(super) fn retry() -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(1),
                base: 2.0,
            },
            max_retries: 3,
            retry_timeout: Duration::from_secs(5),
        }
    }

    pub(super) fn unknown(name: String, error: Error) -> StoreError {
        StoreError::InvalidLocation {
            location: name,
            reason: "this store has no such option".to_owned(),
            source: Some(error.into()),
        }
    }

    pub(super) fn invalid(location: &str, error: Error) -> StoreError {
        StoreError::InvalidLocation {
            location: location.to_owned(),
            reason: "the options, or the settings of the environment, are wrong".to_owned(),
            source: Some(error.into()),
        }
    }
}
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
use patience::{CONNECT_TIMEOUT, REQUEST_TIMEOUT, invalid, retry, unknown};

#[cfg(not(all(feature = "aws", feature = "azure", feature = "gcp")))]
fn missing(location: &str, feature: &str) -> StoreError {
    StoreError::InvalidLocation {
        location: location.to_owned(),
        reason: format!("chancery-store was built without its feature `{feature}`"),
        source: None,
    }
}
