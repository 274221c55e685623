//! The wrapped data keys that seal tokens: one item a day.

use ironwharf_model::{Error, Result};

use super::attributes::{Build, EXPIRES, Read};
use super::blobs::is_condition_failure;
use super::key::Key;
use super::{Table, service_error};

/// A data key as KMS wrapped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey(pub Vec<u8>);

impl Table {
    /// The wrapped key of a day, if it has one.
    pub async fn sealing_key(&self, day: u32) -> Result<Option<WrappedKey>> {
        let Some(item) = self.get(&Key::SealingKey { day }).await? else { return Ok(None) };
        let wrapped = item.read_optional_binary("wrapped")?;
        wrapped
            .map(|wrapped| Some(WrappedKey(wrapped.to_vec())))
            .ok_or_else(|| Error::internal("a sealing key is empty"))
    }

    /// Stores the wrapped key of a day, unless it has one already: the caller
    /// reads again and uses whichever came first.
    pub async fn put_sealing_key(&self, day: u32, wrapped: &WrappedKey) -> Result<()> {
        let expires = (i64::from(day) + 4) * 24 * 3600;
        let item = Build::new(&Key::SealingKey { day }).binary("wrapped", &wrapped.0).number(EXPIRES, expires);
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item.item()))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(()),
            Err(error) if is_condition_failure(&error) => Ok(()),
            Err(error) => Err(service_error("PutItem", error)),
        }
    }
}
