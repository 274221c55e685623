//! Uploads: bytes stream through a hash into the object store and are where
//! they belong from the first one on.
//!
//! Invariant: memory is bounded by [`PART_BYTES`] + [`MIN_PART_BYTES`] that
//! wait and [`PARTS_IN_FLIGHT`] parts that are being written, whatever the size
//! of the layer.
//! Invariant: a request that fails leaves the upload as it found it; but the
//! wrong digest ends it, as its bytes are then not what the client meant.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use ironwharf_cloud::table::{
    Acquired, FinishedUpload, LEASE_RENEWAL, LeasedUpload, RepositoryKey, UploadPart, UploadRecord, UploadState,
    jittered,
};
use ironwharf_cloud::{Encryption, Objects};
use ironwharf_model::{AccountId, Algorithm, Digest, Error, Result};
use ironwharf_wire::range::ByteRange;
use ironwharf_wire::seal::UploadOwner;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};
use time::OffsetDateTime;
use tokio::task::JoinSet;

use crate::authorize::Permit;
use crate::body::{self, Body};
use crate::repositories::id as repository_id;

/// How many bytes go into a part of an object. With the 10,000 parts S3
/// allows, the largest layer fits.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// The smallest part S3 takes before the last.
const MIN_PART_BYTES: usize = 5 * 1024 * 1024;

/// How many parts are written while the next one arrives.
const PARTS_IN_FLIGHT: usize = 2;

/// The largest layer: ECR's 52,000 MiB.
const MAX_LAYER_BYTES: u64 = 52_000 * 1024 * 1024;

/// How often a cancellation is tried that collides with others; each waits longer
/// than the one before.
const CANCELLATIONS: u32 = 30;

/// An upload of one repository.
pub(crate) struct Upload<'a> {
    permit: &'a Permit,
    repository: &'a RepositoryKey,
    id: &'a str,
}

/// How a finished upload went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) digest: Digest,
    /// How many bytes the blob has; unknown if it was finished before.
    pub(crate) size_bytes: Option<u64>,
}

/// Starts an upload. Nothing is stored before its first byte.
pub(crate) async fn start(permit: &Permit, repository: &RepositoryKey) -> Result<String> {
    let key = permit.region().keyring.current(permit.caller().now_s()).await?;
    let principal = permit.caller().principal.arn();
    key.new_upload_id(&owner(repository, &principal)).map_err(Error::internal)
}

fn owner<'a>(repository: &'a RepositoryKey, principal: &'a str) -> UploadOwner<'a> {
    UploadOwner {
        account: &repository.account,
        repository: repository.name.as_str(),
        incarnation: repository.incarnation.as_str(),
        principal,
    }
}

/// Stores a whole blob in one request (`POST ?digest=`).
pub(crate) async fn whole(
    permit: &Permit,
    repository: &RepositoryKey,
    digest: &Digest,
    body: &mut Body,
) -> Result<Finished> {
    let mut writer = ObjectWriter::new(permit, repository, Hasher::new(digest.algorithm()))?;
    let written = writer.write_whole(digest, body).await?;
    finish(permit, repository, digest, &written, None).await?;
    Ok(Finished { digest: digest.clone(), size_bytes: Some(written.size_bytes) })
}

/// Makes a written object a blob of the repository; `false` if another request
/// ended the upload meanwhile.
async fn finish(
    permit: &Permit,
    repository: &RepositoryKey,
    digest: &Digest,
    written: &WrittenObject,
    upload: Option<&FinishedUpload<'_>>,
) -> Result<bool> {
    let table = permit.table()?;
    let now_s = permit.caller().now_s();
    let WrittenObject { object, size_bytes } = written;
    table.finish_upload(repository, digest, object, *size_bytes, upload, now_s).await
}

impl<'a> Upload<'a> {
    /// The upload `id`, if it was started by this caller for this repository.
    pub(crate) async fn find(permit: &'a Permit, repository: &'a RepositoryKey, id: &'a str) -> Result<Self> {
        let upload = Self { permit, repository, id };
        let keyring = &permit.region().keyring;
        let principal = permit.caller().principal.arn();
        let owned = keyring.owns_upload(&owner(repository, &principal), id, permit.caller().now_s()).await?;
        if owned { Ok(upload) } else { Err(upload.not_found()) }
    }

    fn account(&self) -> &AccountId {
        &self.repository.account
    }

    fn objects(&self) -> Result<&Objects> {
        self.permit.objects()
    }

    fn not_found(&self) -> Error {
        let repository = repository_id(&self.repository.account, &self.repository.name);
        Error::UploadNotFound { repository, upload_id: self.id.to_owned() }
    }

    fn busy(&self) -> Error {
        let repository = repository_id(&self.repository.account, &self.repository.name);
        Error::UploadBusy { repository, upload_id: self.id.to_owned() }
    }

    async fn stored(&self) -> Result<Option<UploadRecord>> {
        self.permit.table()?.upload(self.account(), self.id).await
    }

    async fn save(&self, lease: &str, record: &UploadRecord) -> Result<()> {
        let table = self.permit.table()?;
        let saved = table.save_upload(self.account(), self.id, lease, record, self.permit.caller().now_s()).await?;
        if saved { Ok(()) } else { Err(self.lost().await) }
    }

    /// Why the lease is gone: the upload was cancelled, or another request has it.
    async fn lost(&self) -> Error {
        match self.stored().await {
            Ok(Some(record)) if record.state != UploadState::Open => self.not_found(),
            Ok(_) => self.busy(),
            Err(error) => error,
        }
    }

    async fn lease(&self) -> Result<LeasedUpload> {
        let table = self.permit.table()?;
        match table.lease_upload(self.account(), self.id, self.permit.caller().now_s()).await? {
            Acquired::Leased(leased) => Ok(leased),
            Acquired::Busy => Err(self.busy()),
            Acquired::Ended(_) => Err(self.not_found()),
        }
    }

    /// Does what takes its time, and renews the lease meanwhile. Whoever has
    /// lost it stops.
    async fn holding<T>(&self, lease: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(LEASE_RENEWAL, &mut work).await {
                return done;
            }
            let now_s = OffsetDateTime::now_utc().unix_timestamp();
            match self.permit.table()?.renew_lease(self.account(), self.id, lease, now_s).await {
                Ok(true) => {}
                Ok(false) => return Err(self.lost().await),
                // What the work does at its end finds out.
                Err(error) => tracing::warn!(%error, "the lease of an upload was not renewed"),
            }
        }
    }

    /// How many bytes are stored.
    pub(crate) async fn offset_bytes(&self) -> Result<u64> {
        match self.stored().await? {
            None => Ok(0),
            Some(record) if record.state == UploadState::Open => Ok(record.offset_bytes),
            Some(_) => Err(self.not_found()),
        }
    }

    /// Refuses bytes that do not continue the upload.
    fn check_range(&self, range: Option<ByteRange>, offset_bytes: u64) -> Result<()> {
        match range {
            Some(range) if range.first() != offset_bytes => Err(Error::LayerPartOutOfOrder {
                repository: repository_id(&self.repository.account, &self.repository.name),
                upload_id: self.id.to_owned(),
                first_byte: range.first(),
                expected_byte: offset_bytes,
            }),
            _ => Ok(()),
        }
    }

    /// Stores more bytes; how many there are then.
    pub(crate) async fn append(&self, range: Option<ByteRange>, body: &mut Body) -> Result<u64> {
        let LeasedUpload { record, lease } = self.lease().await?;
        let appended = self.holding(&lease, Box::pin(self.append_leased(&record, range, body))).await;
        match appended {
            Ok(next) => {
                self.save(&lease, &next).await?;
                if let Some(tail) = record.tail_object.filter(|tail| next.tail_object.as_ref() != Some(tail)) {
                    self.leave(&[tail], "UPLOAD_TAIL_MERGED").await?;
                }
                Ok(next.offset_bytes)
            }
            Err(error) => {
                self.save(&lease, &record).await?;
                Err(error)
            }
        }
    }

    async fn append_leased(
        &self,
        record: &UploadRecord,
        range: Option<ByteRange>,
        body: &mut Body,
    ) -> Result<UploadRecord> {
        self.check_range(range, record.offset_bytes)?;
        let mut writer = self.resume(record).await?;
        let received = writer.write(body).await?;
        check_length(range, received)?;
        writer.pause(record.offset_bytes + received).await
    }

    /// Goes on where a record stopped.
    async fn resume(&self, record: &UploadRecord) -> Result<ObjectWriter> {
        let hasher = Hasher::resume(&record.hash_state)?;
        let mut writer = ObjectWriter::new(self.permit, self.repository, hasher)?;
        writer.multipart.clone_from(&record.multipart);
        writer.parts.clone_from(&record.parts);
        writer.next_part = record.parts.iter().map(|part| part.number).max().unwrap_or(0) + 1;
        if let Some(tail) = &record.tail_object {
            let bytes = self.objects()?.get(tail).await?;
            if bytes.len() as u64 != record.tail_bytes {
                return Err(Error::internal(format!("the tail of an upload has {} bytes", bytes.len())));
            }
            writer.wait(bytes);
        }
        Ok(writer)
    }

    /// Ends the upload, with a last part or without.
    pub(crate) async fn finish(&self, digest: &Digest, range: Option<ByteRange>, body: &mut Body) -> Result<Finished> {
        match self.stored().await? {
            None => self.finish_whole(digest, range, body).await,
            Some(record) => match record.state {
                UploadState::Open => self.finish_parts(digest, range, body).await,
                // The answer to an earlier request was lost: it was this blob.
                UploadState::Done if record.digest.as_deref() == Some(digest.as_str()) => {
                    Ok(Finished { digest: digest.clone(), size_bytes: None })
                }
                UploadState::Done | UploadState::Cancelled => Err(self.not_found()),
            },
        }
    }

    /// The whole blob in the last request: nothing is stored of the upload but
    /// its end, so a failed attempt can be repeated.
    async fn finish_whole(&self, digest: &Digest, range: Option<ByteRange>, body: &mut Body) -> Result<Finished> {
        self.check_range(range, 0)?;
        let mut writer = ObjectWriter::new(self.permit, self.repository, Hasher::new(digest.algorithm()))?;
        let written = writer.write_whole(digest, body).await?;
        let upload = FinishedUpload { id: self.id, lease: None };
        if finish(self.permit, self.repository, digest, &written, Some(&upload)).await? {
            return Ok(Finished { digest: digest.clone(), size_bytes: Some(written.size_bytes) });
        }
        self.leave(&[written.object], "UPLOAD_LOST_RACE").await?;
        // The same request may have been repeated while this one ran.
        match self.stored().await? {
            Some(record) if record.state == UploadState::Done && record.digest.as_deref() == Some(digest.as_str()) => {
                Ok(Finished { digest: digest.clone(), size_bytes: None })
            }
            Some(record) if record.state != UploadState::Open => Err(self.not_found()),
            _ => Err(self.busy()),
        }
    }

    async fn finish_parts(&self, digest: &Digest, range: Option<ByteRange>, body: &mut Body) -> Result<Finished> {
        let LeasedUpload { record, lease } = self.lease().await?;
        match self.holding(&lease, Box::pin(self.finish_leased(&record, &lease, digest, range, body))).await {
            Err(error @ Error::LayerDigestMismatch { .. }) => {
                self.end_cancelled(&lease, &record).await?;
                Err(error)
            }
            Err(error) => {
                self.save(&lease, &record).await?;
                Err(error)
            }
            finished => finished,
        }
    }

    async fn finish_leased(
        &self,
        record: &UploadRecord,
        lease: &str,
        digest: &Digest,
        range: Option<ByteRange>,
        body: &mut Body,
    ) -> Result<Finished> {
        self.check_range(range, record.offset_bytes)?;
        let Some(first) = body::next(body).await? else {
            if let (Some(range), true) = (range, record.offset_bytes > 0) {
                check_length(Some(range), 0)?;
            }
            return self.seal(record, lease, digest).await;
        };
        let mut writer = self.resume(record).await?;
        writer.hasher.update(&first);
        let mut received = first.len() as u64;
        writer.wait(first);
        received += writer.write(body).await?;
        check_length(range, received)?;
        let size_bytes = record.offset_bytes + received;
        let written = writer.end(digest, size_bytes).await?;
        self.link(record, lease, digest, &written).await
    }

    /// Ends an upload whose bytes are all stored.
    async fn seal(&self, record: &UploadRecord, lease: &str, digest: &Digest) -> Result<Finished> {
        let size_bytes = record.offset_bytes;
        let written = match (&record.multipart, &record.tail_object) {
            // A single object that is complete as it is: nothing is copied.
            (None, Some(tail)) => {
                Hasher::resume(&record.hash_state)?.check(digest, self.objects()?, tail).await?;
                WrittenObject { object: tail.clone(), size_bytes }
            }
            _ => self.resume(record).await?.end(digest, size_bytes).await?,
        };
        self.link(record, lease, digest, &written).await
    }

    async fn link(
        &self,
        record: &UploadRecord,
        lease: &str,
        digest: &Digest,
        written: &WrittenObject,
    ) -> Result<Finished> {
        let upload = FinishedUpload { id: self.id, lease: Some(lease) };
        if !finish(self.permit, self.repository, digest, written, Some(&upload)).await? {
            return Err(self.lost().await);
        }
        if let Some(tail) = record.tail_object.as_ref().filter(|tail| **tail != written.object) {
            self.leave(std::slice::from_ref(tail), "UPLOAD_TAIL_MERGED").await?;
        }
        Ok(Finished { digest: digest.clone(), size_bytes: Some(written.size_bytes) })
    }

    /// Ends the upload without a blob, also while another request writes to it.
    pub(crate) async fn cancel(&self) -> Result<()> {
        let table = self.permit.table()?;
        for tries in 0..CANCELLATIONS {
            match table.take_upload_over(self.account(), self.id, self.permit.caller().now_s()).await? {
                Acquired::Leased(LeasedUpload { record, lease }) => match self.end_cancelled(&lease, &record).await {
                    // Somebody else cancels it too, and took it over in between:
                    // let them come first.
                    Err(Error::UploadBusy { .. }) => tokio::time::sleep(jittered(tries.min(8))).await,
                    ended => return ended,
                },
                Acquired::Busy => return Err(self.busy()),
                Acquired::Ended(_) => return Err(self.not_found()),
            }
        }
        Err(self.busy())
    }

    async fn end_cancelled(&self, lease: &str, record: &UploadRecord) -> Result<()> {
        let cancelled = UploadRecord { state: UploadState::Cancelled, ..UploadRecord::empty() };
        self.save(lease, &cancelled).await?;
        if let Some((object, id)) = &record.multipart {
            self.objects()?.abort_parts(object, id).await?;
        }
        if let Some(tail) = &record.tail_object {
            self.leave(std::slice::from_ref(tail), "UPLOAD_CANCELLED").await?;
        }
        Ok(())
    }

    async fn leave(&self, objects: &[String], reason: &'static str) -> Result<()> {
        let table = self.permit.table()?;
        table.leave_objects(self.account(), reason, objects, self.permit.caller().now_s()).await
    }
}

fn check_length(range: Option<ByteRange>, received: u64) -> Result<()> {
    match range {
        Some(range) if range.len() != received => {
            Err(Error::LayerPartLengthMismatch { declared_bytes: range.len(), actual_bytes: received })
        }
        _ => Ok(()),
    }
}

/// An object that is complete.
struct WrittenObject {
    object: String,
    size_bytes: u64,
}

/// The hash of an upload so far.
enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// Between requests only SHA-256 is kept: which algorithm the digest will
    /// have is known at the end, and it nearly always is this one.
    fn resume(state: &[u8]) -> Result<Self> {
        if state.is_empty() {
            return Ok(Self::new(Algorithm::Sha256));
        }
        let state =
            SerializedState::<Sha256>::try_from(state).map_err(|_| Error::internal("a hash state is cut off"))?;
        Sha256::deserialize(&state).map(Self::Sha256).map_err(|_| Error::internal("a hash state is not valid"))
    }

    fn state(&self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.serialize().to_vec(),
            Self::Sha512(_) => Vec::new(),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn digest(&self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::from_hash(Algorithm::Sha256, &hasher.clone().finalize()),
            Self::Sha512(hasher) => Digest::from_hash(Algorithm::Sha512, &hasher.clone().finalize()),
        }
    }

    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Compares with the digest the client gave. Another algorithm than the
    /// one kept means reading the object once.
    async fn check(&self, declared: &Digest, objects: &Objects, object: &str) -> Result<()> {
        let actual = if self.algorithm() == declared.algorithm() {
            self.digest()
        } else {
            let mut hasher = Self::new(declared.algorithm());
            let mut stream = objects.read(object).await?;
            while let Some(chunk) = stream.next().await {
                hasher.update(&chunk.map_err(|error| Error::internal(format!("reading an object: {error}")))?);
            }
            hasher.digest()
        };
        compare(declared, &actual)
    }
}

fn compare(declared: &Digest, actual: &Digest) -> Result<()> {
    if declared == actual {
        return Ok(());
    }
    Err(Error::LayerDigestMismatch { declared: declared.to_string(), actual: actual.to_string() })
}

/// Writes one object from a stream of bytes: in one piece if it is small, in
/// parts otherwise.
struct ObjectWriter {
    objects: Objects,
    account: AccountId,
    encryption: Encryption,
    hasher: Hasher,
    /// Bytes that are not written yet.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    multipart: Option<(String, String)>,
    parts: Vec<UploadPart>,
    next_part: i32,
    /// The parts being written while the next one arrives.
    writing: JoinSet<Result<UploadPart>>,
    /// Whether `multipart` was started by this request, which then also ends it.
    started_here: bool,
}

impl ObjectWriter {
    fn new(permit: &Permit, repository: &RepositoryKey, hasher: Hasher) -> Result<Self> {
        Ok(Self {
            objects: permit.objects()?.clone(),
            account: repository.account.clone(),
            encryption: repository.encryption.clone(),
            hasher,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            multipart: None,
            parts: Vec::new(),
            next_part: 1,
            writing: JoinSet::new(),
            started_here: false,
        })
    }

    /// Takes bytes that are hashed already.
    fn wait(&mut self, bytes: Bytes) {
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
    }

    /// Takes a body; how many bytes it had.
    async fn write(&mut self, body: &mut Body) -> Result<u64> {
        let written = self.write_all(body).await;
        if written.is_err() {
            self.give_up().await?;
        }
        written
    }

    async fn write_all(&mut self, body: &mut Body) -> Result<u64> {
        let mut received = 0;
        while let Some(chunk) = body::next(body).await? {
            received += chunk.len() as u64;
            if received > MAX_LAYER_BYTES {
                return Err(Error::LayerTooLarge { limit_bytes: MAX_LAYER_BYTES });
            }
            self.hasher.update(&chunk);
            self.wait(chunk);
            // Keeping back enough for a part means that what remains at the
            // end is never too small to be one.
            while self.waiting_bytes >= PART_BYTES + MIN_PART_BYTES {
                self.write_part(PART_BYTES).await?;
            }
        }
        Ok(received)
    }

    async fn write_whole(&mut self, digest: &Digest, body: &mut Body) -> Result<WrittenObject> {
        let size_bytes = self.write(body).await?;
        if let Err(error) = compare(digest, &self.hasher.digest()) {
            self.give_up().await?;
            return Err(error);
        }
        let object = self.complete().await?;
        Ok(WrittenObject { object, size_bytes })
    }

    /// Stores what waits so that another request can go on; the record of it.
    async fn pause(mut self, offset_bytes: u64) -> Result<UploadRecord> {
        if self.multipart.is_some() && self.waiting_bytes >= MIN_PART_BYTES {
            self.write_part(self.waiting_bytes).await?;
        }
        self.collect_parts().await?;
        let tail_bytes = self.waiting_bytes as u64;
        let tail_object = if tail_bytes == 0 { None } else { Some(self.put_waiting().await?) };
        Ok(UploadRecord {
            offset_bytes,
            hash_state: self.hasher.state(),
            multipart: self.multipart,
            parts: self.parts,
            tail_object,
            tail_bytes,
            ..UploadRecord::empty()
        })
    }

    /// Completes an object of which parts may have been written before.
    async fn end(mut self, digest: &Digest, size_bytes: u64) -> Result<WrittenObject> {
        // What can be compared before the object is put together, is.
        if self.hasher.algorithm() == digest.algorithm()
            && let Err(error) = compare(digest, &self.hasher.digest())
        {
            self.give_up().await?;
            return Err(error);
        }
        let object = self.complete().await?;
        self.hasher.check(digest, &self.objects, &object).await?;
        Ok(WrittenObject { object, size_bytes })
    }

    /// The object with all that was written and all that waits.
    async fn complete(&mut self) -> Result<String> {
        if self.multipart.is_none() {
            return self.put_waiting().await;
        }
        if self.waiting_bytes > 0 {
            self.write_part(self.waiting_bytes).await?;
        }
        self.collect_parts().await?;
        let Some((object, id)) = &self.multipart else {
            return Err(Error::internal("an object lost its parts"));
        };
        self.objects.finish_parts(object, id, &self.parts).await?;
        Ok(object.clone())
    }

    /// Writes what waits as an object of its own.
    async fn put_waiting(&mut self) -> Result<String> {
        let object = Objects::new_key(&self.account);
        let bytes = self.take(self.waiting_bytes);
        self.objects.put(&object, bytes, &self.encryption).await?;
        Ok(object)
    }

    async fn write_part(&mut self, length: usize) -> Result<()> {
        let (object, id) = if let Some(multipart) = &self.multipart {
            multipart.clone()
        } else {
            let object = Objects::new_key(&self.account);
            let id = self.objects.start_parts(&object, &self.encryption).await?;
            self.started_here = true;
            self.multipart.insert((object, id)).clone()
        };
        while self.writing.len() >= PARTS_IN_FLIGHT {
            self.collect_part().await?;
        }
        let bytes = self.take(length);
        let number = self.next_part;
        self.next_part += 1;
        let objects = self.objects.clone();
        self.writing.spawn(async move { objects.put_part(&object, &id, number, bytes).await });
        Ok(())
    }

    async fn collect_part(&mut self) -> Result<()> {
        if let Some(written) = self.writing.join_next().await {
            self.parts.push(written.map_err(Error::internal)??);
        }
        Ok(())
    }

    /// Waits until all parts are written; they stand in order then.
    async fn collect_parts(&mut self) -> Result<()> {
        while !self.writing.is_empty() {
            self.collect_part().await?;
        }
        self.parts.sort_unstable_by_key(|part| part.number);
        Ok(())
    }

    fn take(&mut self, length: usize) -> Bytes {
        if self.waiting.len() == 1 && self.waiting_bytes == length {
            self.waiting_bytes = 0;
            return self.waiting.pop_front().unwrap_or_default();
        }
        let mut taken = BytesMut::with_capacity(length);
        while taken.len() < length {
            let Some(mut chunk) = self.waiting.pop_front() else { break };
            let wanted = length - taken.len();
            if chunk.len() > wanted {
                self.waiting.push_front(chunk.split_off(wanted));
            }
            taken.extend_from_slice(&chunk);
        }
        self.waiting_bytes -= taken.len();
        taken.freeze()
    }

    /// Drops what this request alone has written.
    async fn give_up(&mut self) -> Result<()> {
        self.writing.shutdown().await;
        if let Some((object, id)) = self.multipart.take_if(|_| self.started_here) {
            self.objects.abort_parts(&object, &id).await?;
        }
        Ok(())
    }
}
