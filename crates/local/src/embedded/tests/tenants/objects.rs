use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::*;

const DENIED: &str = "AccessDenied";

#[tokio::test]
async fn objects_of_another_tenant_are_out_of_reach() {
    let storage = Storage::new().await;
    let client = storage.s3(storage.session(ONE, Mode::Write));
    let bucket = bucket();
    let (own, foreign) = (format!("{ONE}/blob"), format!("{OTHER}/blob"));
    client.get_object().bucket(&bucket).key(&own).send().await.unwrap();
    client.head_object().bucket(&bucket).key(&own).send().await.unwrap();
    client.put_object().bucket(&bucket).key(format!("{ONE}/new")).body(vec![1].into()).send().await.unwrap();
    for key in [foreign.as_str(), "blob", &format!("{ONE}0/blob"), &format!("x/{ONE}/blob")] {
        assert_eq!(code!(client.get_object().bucket(&bucket).key(key).send().await), DENIED, "{key}");
        let put = client.put_object().bucket(&bucket).key(key).body(vec![1].into());
        assert_eq!(code!(put.send().await), DENIED, "{key}");
        assert_eq!(code!(client.create_multipart_upload().bucket(&bucket).key(key).send().await), DENIED, "{key}");
        let part = client.upload_part().bucket(&bucket).key(key).upload_id("u").part_number(1).body(vec![1].into());
        assert_eq!(code!(part.send().await), DENIED, "{key}");
        let abort = client.abort_multipart_upload().bucket(&bucket).key(key).upload_id("u");
        assert_eq!(code!(abort.send().await), DENIED, "{key}");
    }
    assert!(client.head_object().bucket(&bucket).key(&foreign).send().await.is_err());
    assert_eq!(code!(client.get_object().bucket("ironwharf-eu-west-2").key(&own).send().await), DENIED);
}

#[tokio::test]
async fn a_copy_needs_both_ends() {
    let storage = Storage::new().await;
    let client = storage.s3(storage.session(ONE, Mode::Write));
    let bucket = bucket();
    let copy = |from: &str, to: &str| {
        let copy = client.copy_object().copy_source(format!("{bucket}/{from}/blob"));
        copy.bucket(&bucket).key(format!("{to}/copy"))
    };
    copy(ONE, ONE).send().await.unwrap();
    assert_eq!(code!(copy(OTHER, ONE).send().await), DENIED);
    assert_eq!(code!(copy(ONE, OTHER).send().await), DENIED);
    let started = client.create_multipart_upload().bucket(&bucket).key(format!("{ONE}/parts")).send().await.unwrap();
    let part = client.upload_part_copy().bucket(&bucket).key(format!("{ONE}/parts")).part_number(1);
    let part = part.upload_id(started.upload_id.unwrap()).copy_source(format!("{bucket}/{OTHER}/blob"));
    assert_eq!(code!(part.send().await), DENIED);
}

#[tokio::test]
async fn nothing_is_listed_or_deleted() {
    let storage = Storage::new().await;
    let client = storage.s3(storage.session(ONE, Mode::Write));
    let bucket = bucket();
    for prefix in [ONE, OTHER, ""] {
        let list = client.list_objects_v2().bucket(&bucket).prefix(prefix);
        assert_eq!(code!(list.send().await), DENIED, "{prefix}");
    }
    assert_eq!(code!(client.list_buckets().send().await), DENIED);
    assert_eq!(code!(client.list_multipart_uploads().bucket(&bucket).send().await), DENIED);
    assert_eq!(code!(client.delete_object().bucket(&bucket).key(format!("{OTHER}/blob")).send().await), DENIED);
    for tenant in [ONE, OTHER] {
        let object = ObjectIdentifier::builder().key(format!("{tenant}/blob")).build().unwrap();
        let delete = Delete::builder().objects(object).build().unwrap();
        assert_eq!(code!(client.delete_objects().bucket(&bucket).delete(delete).send().await), DENIED, "{tenant}");
    }
    storage.cloud.objects.get(&format!("{OTHER}/blob")).await.unwrap();
}

#[tokio::test]
async fn a_reader_writes_nothing() {
    let storage = Storage::new().await;
    let client = storage.s3(storage.session(ONE, Mode::Read));
    let (bucket, key) = (bucket(), format!("{ONE}/blob"));
    client.get_object().bucket(&bucket).key(&key).send().await.unwrap();
    assert_eq!(code!(client.put_object().bucket(&bucket).key(&key).body(vec![1].into()).send().await), DENIED);
}

/// Sends a presigned URL to the public port; its status and body.
async fn open(storage: &Storage, url: &str) -> (u16, String) {
    use http_body_util::BodyExt as _;
    let request = http::Request::get(url).header("host", "localhost:5100").body(()).unwrap();
    let answer = storage.services.objects.serve(request).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn presigned(storage: &Storage, credentials: Credentials, key: &str) -> String {
    let expiry = PresigningConfig::expires_in(Duration::from_mins(15)).unwrap();
    let get = storage.s3(credentials).get_object().bucket(bucket()).key(key);
    get.presigned(expiry).await.unwrap().uri().to_owned()
}

#[tokio::test]
async fn a_presigned_url_reaches_what_its_signer_does() {
    let storage = Storage::new().await;
    let session = storage.session(ONE, Mode::Read);
    let own = presigned(&storage, session.clone(), &format!("{ONE}/blob")).await;
    assert_eq!(open(&storage, &own).await, (200, ONE.to_owned()));
    let foreign = presigned(&storage, session, &format!("{OTHER}/blob")).await;
    let (status, body) = open(&storage, &foreign).await;
    assert_eq!(status, 403);
    assert!(body.contains("<Code>AccessDenied</Code>"), "{body}");
    // The key of the signed URL replaced, and the token taken away.
    assert_eq!(open(&storage, &own.replace(ONE, OTHER)).await.0, 403);
    let (path, query) = own.split_once('?').unwrap();
    let without = query.split('&').filter(|pair| !pair.starts_with("X-Amz-Security-Token="));
    let without = format!("{path}?{}", without.collect::<Vec<_>>().join("&"));
    assert_ne!(without, own);
    assert_eq!(open(&storage, &without).await.0, 403);
    assert_eq!(open(&storage, &format!("{own}&X-Amz-Security-Token=x")).await.0, 403);
}

#[tokio::test]
async fn a_presigned_url_ends_with_its_session() {
    let storage = Storage::new().await;
    let key = format!("{ONE}/blob");
    let ended = credentials(storage.issue(ONE, Mode::Read, now() - 1));
    let (status, body) = open(&storage, &presigned(&storage, ended, &key).await).await;
    assert_eq!(status, 400, "as S3 answers");
    assert!(body.contains("<Code>ExpiredToken</Code>"), "{body}");
    let past = SystemTime::now() - Duration::from_mins(16);
    let expiry = PresigningConfig::builder().start_time(past).expires_in(Duration::from_mins(15)).build().unwrap();
    let get = storage.s3(storage.session(ONE, Mode::Read)).get_object().bucket(bucket()).key(&key);
    let expired = get.presigned(expiry).await.unwrap().uri().to_owned();
    assert_eq!(open(&storage, &expired).await.0, 403);
}
