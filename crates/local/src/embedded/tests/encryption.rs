//! Objects under KMS keys: what is on the disk, what can be read, and when not.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, ServerSideEncryption};

use super::*;

const MARKER: &[u8] = b"the words that nobody must find on the disk";

/// A body that starts and ends with the marker.
fn marked(size: usize) -> Vec<u8> {
    let middle = size.saturating_sub(2 * MARKER.len());
    [MARKER, &pattern(middle, 9), MARKER].concat()
}

/// Whether the marker is in any file of the data folder.
fn is_on_disk(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_on_disk(&path);
        }
        std::fs::read(&path).unwrap().windows(MARKER.len()).any(|window| window == MARKER)
    })
}

async fn new_key(fixture: &Fixture) -> String {
    fixture.kms().create_key().send().await.unwrap().key_metadata.unwrap().arn.unwrap()
}

#[tokio::test]
async fn bytes_under_a_key_are_not_on_the_disk() {
    for algorithm in [ServerSideEncryption::AwsKms, ServerSideEncryption::AwsKmsDsse] {
        let fixture = Fixture::new();
        let client = fixture.bucket().await;
        let key = new_key(&fixture).await;
        let sizes = [0, 100, 16 * 1024, 16 * 1024 + 1, 64 * 1024, 64 * 1024 + 1, 3 * 1024 * 1024];
        for size in sizes {
            let body = if size == 0 { Vec::new() } else { marked(size) };
            let put = client.put_object().bucket(BUCKET).key(size.to_string()).body(body.into());
            let put = put.server_side_encryption(algorithm.clone()).ssekms_key_id(&key).send().await.unwrap();
            assert_eq!((put.server_side_encryption(), put.ssekms_key_id()), (Some(&algorithm), Some(key.as_str())));
        }
        let fixture = fixture.reopen();
        assert!(!is_on_disk(&fixture.data_dir()), "{algorithm:?}");
        let client = fixture.s3();
        for size in sizes.into_iter().skip(1) {
            let body = marked(size);
            let key = size.to_string();
            assert!(get(&client, &key).await == body, "{size}");
            let last = body.len() - 1;
            for (first, end) in
                [(0, 0), (last, last), (last / 2, last), (1, last.min(70_000)), (65_535.min(last), last)]
            {
                let range = format!("bytes={first}-{end}");
                let part = client.get_object().bucket(BUCKET).key(&key).range(&range).send().await.unwrap();
                assert!(collect(part.body).await == body[first..=end], "{range} of {size}");
            }
            let head = client.head_object().bucket(BUCKET).key(&key).send().await.unwrap();
            assert_eq!(head.content_length(), Some(i64::try_from(body.len()).unwrap()));
        }
        // Without a key the words are there, so this test can fail.
        put(&client, "plain", marked(100)).await;
        assert!(is_on_disk(&fixture.data_dir()));
    }
}

#[tokio::test]
async fn parts_are_encrypted_while_they_wait_and_when_they_are_put_together() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let key = new_key(&fixture).await;
    let create = client.create_multipart_upload().bucket(BUCKET).key("k");
    let create = create.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(&key);
    let id = create.send().await.unwrap().upload_id.unwrap();
    let bodies = [marked(5 * 1024 * 1024 + 3), marked(6 * 1024 * 1024), marked(500)];
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(&bodies) {
        // The first attempt is replaced by the second.
        for body in [marked(200), body.clone()] {
            let part = client.upload_part().bucket(BUCKET).key("k").upload_id(&id).part_number(number);
            let etag = part.body(body.into()).send().await.unwrap().e_tag.unwrap();
            parts.retain(|part: &CompletedPart| part.part_number() != Some(number));
            parts.push(CompletedPart::builder().part_number(number).e_tag(etag).build());
        }
    }
    assert!(!is_on_disk(&fixture.data_dir()), "unfinished");
    let fixture = fixture.reopen();
    let client = fixture.s3();
    let list = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket(BUCKET).key("k").upload_id(&id).multipart_upload(list);
    complete.send().await.unwrap();
    assert!(!is_on_disk(&fixture.data_dir()), "finished");
    let whole = bodies.concat();
    assert!(get(&client, "k").await == whole);
    let border = bodies[0].len();
    for (first, last) in [(border - 10, border + 10), (border, whole.len() - 1), (whole.len() - 600, whole.len() - 1)] {
        let read = client.get_object().bucket(BUCKET).key("k").range(format!("bytes={first}-{last}"));
        assert!(collect(read.send().await.unwrap().body).await == whole[first..=last], "{first}-{last}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_a_refusal() {
    let fixture = Fixture::new();
    let (client, kms) = (fixture.bucket().await, fixture.kms());
    let key = new_key(&fixture).await;
    let put = |name: &str, algorithm: ServerSideEncryption, key: Option<&str>| {
        let put = client.put_object().bucket(BUCKET).key(name).body(marked(100).into());
        put.server_side_encryption(algorithm).set_ssekms_key_id(key.map(str::to_owned)).send()
    };
    put("k", ServerSideEncryption::AwsKms, Some(&key)).await.unwrap();
    let start = client.create_multipart_upload().bucket(BUCKET).key("parts");
    let start = start.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(&key);
    let id = start.clone().send().await.unwrap().upload_id.unwrap();
    let part = || {
        let part = client.upload_part().bucket(BUCKET).key("parts").upload_id(&id).part_number(1);
        part.body(marked(100).into()).send()
    };
    let read = || client.get_object().bucket(BUCKET).key("k").send();

    kms.disable_key().key_id(&key).send().await.unwrap();
    let refused = "KMS.DisabledException";
    assert_eq!(code!(put("l", ServerSideEncryption::AwsKms, Some(&key)).await), refused);
    assert_eq!(code!(read().await), refused);
    assert_eq!(code!(start.send().await), refused);
    assert_eq!(code!(part().await), refused);
    kms.enable_key().key_id(&key).send().await.unwrap();
    assert_eq!(collect(read().await.unwrap().body).await, marked(100));
    part().await.unwrap();

    kms.schedule_key_deletion().key_id(&key).pending_window_in_days(7).send().await.unwrap();
    assert_eq!(code!(read().await), "KMS.KMSInvalidStateException");
    assert_eq!(code!(kms.enable_key().key_id(&key).send().await), "KMSInvalidStateException");
    let fixture = fixture.reopen();
    let read = fixture.s3().get_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(code!(read), "KMS.KMSInvalidStateException");

    let client = fixture.s3();
    let key = new_key(&fixture).await;
    let put = |algorithm: &str, key: Option<&str>| {
        let put = client.put_object().bucket(BUCKET).key("m").body(marked(100).into());
        put.server_side_encryption(algorithm.into()).set_ssekms_key_id(key.map(str::to_owned)).send()
    };
    for (algorithm, key, expected) in [
        ("aws:kms", Some("alias/nothing"), "KMS.NotFoundException"),
        ("aws:kms", None, "NotImplemented"),
        ("AES256", Some(key.as_str()), "InvalidArgument"),
        ("rot13", None, "InvalidArgument"),
    ] {
        assert_eq!(code!(put(algorithm, key).await), expected, "{algorithm} {key:?}");
    }
    put("aws:kms", Some(&key)).await.unwrap();
    let copy = client.copy_object().bucket(BUCKET).key("copy").copy_source(format!("{BUCKET}/m"));
    assert_eq!(code!(copy.send().await), "NotImplemented");
}

#[tokio::test]
async fn keys_have_tags_and_lists() {
    let fixture = Fixture::new();
    let kms = fixture.kms();
    let tag = aws_sdk_kms::types::Tag::builder().tag_key("tenant").tag_value("111111111111").build().unwrap();
    let made = kms.create_key().tags(tag.clone()).send().await.unwrap().key_metadata.unwrap();
    let twice = kms.create_key().tags(tag.clone()).tags(tag.clone()).send().await;
    assert_eq!(code!(twice), "TagException");
    for _ in 0..4 {
        new_key(&fixture).await;
    }
    let fixture = fixture.reopen();
    let kms = fixture.kms();
    let tags = kms.list_resource_tags().key_id(&made.key_id).send().await.unwrap();
    assert_eq!(tags.tags(), [tag]);
    let mut seen = BTreeSet::new();
    let mut pages = kms.list_keys().limit(2).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!(page.keys().len() <= 2);
        seen.extend(page.keys().iter().map(|key| key.key_arn().unwrap().to_owned()));
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.contains(made.arn().unwrap()));
    assert_eq!(
        code!(kms.schedule_key_deletion().key_id(&made.key_id).pending_window_in_days(3).send().await),
        "ValidationException"
    );
}
