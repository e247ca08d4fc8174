//! Whether a store can be trusted with what several processes write.

use crate::content::{Content, Object};
use crate::error::StoreError;
use crate::random;
use crate::store::Store;

const PROBE: &str = ".chancery-probe";

/// Others may probe at the same time; each time one of them wins.
const ATTEMPTS: usize = 100;

impl Store {
    /// Proves that the store refuses stale writes, by trying some on the object `.chancery-probe`,
    /// which stays behind. Any number of processes may do so at once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] when a stale write went through, and any other of [`StoreError`].
    pub async fn check_conditional_writes(&self) -> Result<(), StoreError> {
        let ignored = |condition: &str| StoreError::Unsupported {
            store: self.to_string(),
            reason: format!("it was told to write only {condition}, and wrote nevertheless"),
            source: None,
        };
        let stale = self.replace_probe().await?;
        // Whatever others do meanwhile, the probe is there, and not of this version.
        if self.write_probe(None).await? {
            return Err(ignored("where nothing is"));
        }
        if self.write_probe(Some(&stale)).await? {
            return Err(ignored("over a certain version"));
        }
        Ok(())
    }

    /// Replaces the probe; hands back what was there before.
    async fn replace_probe(&self) -> Result<Object, StoreError> {
        for _ in 0..ATTEMPTS {
            let there = self.read_unchecked(PROBE, None).await?;
            if self.write_probe(there.as_ref()).await?
                && let Some(there) = there
            {
                return Ok(there);
            }
        }
        Err(self.unavailable("the probe is changed by others all the time"))
    }

    /// Whether the store took the write. No two write the same, since versions may be made of
    /// content alone.
    async fn write_probe(&self, expected: Option<&Object>) -> Result<bool, StoreError> {
        let unique = random::hex().map_err(|error| self.unavailable(error))?;
        let content = Content::new(unique.as_bytes(), "text/plain");
        let expected = expected.map(Object::version);
        match self.write_unchecked(PROBE, &content, expected).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
