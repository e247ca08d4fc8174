//! From a URL to a store.

use object_store::memory::InMemory;
use url::Url;

use crate::client::Client;
use crate::cloud;
use crate::error::StoreError;
use crate::store::Store;

pub(crate) type Options = Vec<(String, String)>;

pub(crate) fn open(url: &str, options: Options) -> Result<Store, StoreError> {
    let parsed = Url::parse(url).map_err(|error| StoreError::InvalidLocation {
        // What is no URL may be anything, also a secret.
        location: "a URL".to_owned(),
        reason: "it is none".to_owned(),
        source: Some(error.into()),
    })?;
    let location = format!("{}://{}", parsed.scheme(), parsed.host_str().unwrap_or(""));
    let invalid = |reason: &str| StoreError::InvalidLocation {
        location: location.clone(),
        reason: reason.to_owned(),
        source: None,
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(invalid("credentials go into options, not into the URL"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(invalid("a query or a fragment has no meaning here"));
    }
    let store = match parsed.scheme() {
        "file" | "memory" if !options.is_empty() => return Err(invalid("it takes no options")),
        "file" => {
            let directory = parsed
                .to_file_path()
                .map_err(|()| invalid("a directory's URL is file:///directory"))?;
            return Store::local(directory);
        }
        "memory" => Store::client(Client::new(Box::new(InMemory::new()), location.clone())),
        "s3" | "gs" | "az" if location.ends_with("//") => {
            return Err(invalid("the bucket or container is missing"));
        }
        "s3" => cloud::s3(&location, options)?,
        "gs" => cloud::google(&location, options)?,
        "az" => cloud::azure(&location, options)?,
        _ => return Err(invalid("the scheme is none of s3, gs, az, file, memory")),
    };
    match parsed.path().trim_matches('/') {
        "" => Ok(store),
        prefix => store.below(prefix),
    }
}
