//! `MaxItems` and `Marker`.
//!
//! Invariant: a marker is sealed and bound to the account, the operation and
//! the selection it was given for; any other use is refused.

use ironwharf_cloud::table::identity::IdentityRecord;
use ironwharf_model::{Error, Result};
use ironwharf_wire::iam::OperationName;
use ironwharf_wire::seal::PageToken;

use super::Call;

/// IAM's page size where none is given.
const DEFAULT_ITEMS: usize = 100;

/// How many records are read at least in one go, because some are left out.
const READ_AT_ONCE: usize = 25;

/// A page that is being filled.
///
/// A listing goes over one kind of record or several, its stages, one after
/// the other.
pub(super) struct Page<'a> {
    call: &'a Call<'a>,
    listing: String,
    room: usize,
    start: Place,
    end: Option<Place>,
}

/// A place in a listing: behind a record of a stage, or at its start.
#[derive(Default)]
struct Place {
    stage: u8,
    after: Option<String>,
}

impl<'a> Page<'a> {
    /// `selection` is whatever decides which items are listed.
    pub(super) async fn open(
        call: &'a Call<'a>,
        operation: OperationName,
        selection: &str,
        max_items: Option<i32>,
        marker: Option<&str>,
    ) -> Result<Self> {
        let listing = format!("{}|{operation}|{selection}", call.account());
        let room = max_items.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(DEFAULT_ITEMS);
        let start = match marker {
            None => Place::default(),
            Some(marker) => read(call, &listing, marker).await?,
        };
        Ok(Self { call, listing, room, start, end: None })
    }

    /// The records of a stage that `keep` keeps, as far as there is room. Stages
    /// are asked for in their order; the keys of the records start with `prefix`.
    pub(super) async fn take<R: IdentityRecord>(
        &mut self,
        stage: u8,
        prefix: &str,
        keep: impl Fn(&R) -> bool + Send,
    ) -> Result<Vec<R>> {
        let mut taken = Vec::new();
        if self.end.is_some() || stage < self.start.stage {
            return Ok(taken);
        }
        let mut after = if stage == self.start.stage { self.start.after.take() } else { None };
        loop {
            if self.room == 0 {
                self.end = Some(Place { stage, after });
                return Ok(taken);
            }
            let limit = self.room.max(READ_AT_ONCE);
            let page =
                self.call.table().list_identities::<R>(self.call.account(), prefix, after.as_deref(), limit).await?;
            let mut records = page.items.into_iter().peekable();
            while let Some(record) = records.next() {
                after = Some(record.key().strip_prefix(prefix).unwrap_or_default().to_owned());
                if keep(&record) {
                    taken.push(record);
                    self.room -= 1;
                }
                if self.room == 0 && (records.peek().is_some() || page.more) {
                    self.end = Some(Place { stage, after });
                    return Ok(taken);
                }
            }
            if !page.more {
                return Ok(taken);
            }
        }
    }

    /// What of a whole list is on the page, as a stage of its own.
    pub(super) fn slice<T>(&mut self, stage: u8, all: Vec<T>) -> Vec<T> {
        if self.end.is_some() || stage < self.start.stage {
            return Vec::new();
        }
        let start = if stage == self.start.stage { self.start.after.take() } else { None };
        let start: usize = start.and_then(|start| start.parse().ok()).unwrap_or(0);
        let rest = all.len().saturating_sub(start);
        if rest > self.room {
            self.end = Some(Place { stage, after: Some((start + self.room).to_string()) });
        }
        let taken: Vec<T> = all.into_iter().skip(start).take(self.room).collect();
        self.room -= taken.len();
        taken
    }

    /// Whether there is more, and the marker of the page with it.
    pub(super) async fn end(self) -> Result<(Option<bool>, Option<String>)> {
        let Some(Place { stage, after }) = self.end else { return Ok((Some(false), None)) };
        let position = format!("{stage}:{}", after.unwrap_or_default());
        let key = self.call.directory.home().keyring.current(self.call.now_s()).await?;
        let marker = key.seal_page(&self.listing, &position).map_err(Error::internal)?;
        Ok((Some(true), Some(marker)))
    }
}

async fn read(call: &Call<'_>, listing: &str, marker: &str) -> Result<Place> {
    let invalid = || Error::Validation { message: "The specified value for marker is invalid.".to_owned() };
    let token = PageToken::parse(marker).map_err(|_| invalid())?;
    let key = call.directory.home().keyring.of_day(token.day, call.now_s()).await?.ok_or_else(invalid)?;
    let position = key.open_page(listing, &token).map_err(|_| invalid())?;
    let (stage, after) = position.split_once(':').ok_or_else(invalid)?;
    let stage = stage.parse().map_err(|_| invalid())?;
    Ok(Place { stage, after: Some(after.to_owned()).filter(|after| !after.is_empty()) })
}
