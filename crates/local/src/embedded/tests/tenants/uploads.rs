//! The lease of an upload: one writer at a time, and none for ever.

use ironwharf_cloud::table::Acquired;

use super::{ONE, Storage, account};

const UPLOAD: &str = "01234567-89ab-4def-8123-456789abcdef";

#[tokio::test]
async fn a_writer_that_is_gone_holds_an_upload_for_a_minute() {
    let storage = Storage::new().await;
    let (table, account) = (&storage.cloud.table, account(ONE));
    let lease = async |now_s| table.lease_upload(&account, UPLOAD, now_s).await.unwrap();
    let Acquired::Leased(first) = lease(1_000).await else { panic!("nobody else writes") };
    assert!(matches!(lease(1_060).await, Acquired::Busy), "it may be alive");
    // One that says that it is alive holds it for longer.
    assert!(table.renew_lease(&account, UPLOAD, &first.lease, 1_050).await.unwrap());
    assert!(matches!(lease(1_100).await, Acquired::Busy), "it was alive");
    let Acquired::Leased(second) = lease(1_111).await else { panic!("the first is gone") };
    assert_ne!(first.lease, second.lease);
    // The first comes back too late: it can neither go on nor store anything.
    assert!(!table.renew_lease(&account, UPLOAD, &first.lease, 1_112).await.unwrap());
    assert!(!table.save_upload(&account, UPLOAD, &first.lease, &first.record, 1_112).await.unwrap());
    assert!(table.save_upload(&account, UPLOAD, &second.lease, &second.record, 1_112).await.unwrap());
    assert!(matches!(lease(1_113).await, Acquired::Leased(_)), "it was given back");
}
