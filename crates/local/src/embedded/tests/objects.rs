use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, Delete, MetadataDirective, ObjectIdentifier};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use super::*;

#[tokio::test]
async fn objects_of_every_size_come_back() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let sizes = [0, 1, 16 * 1024, 16 * 1024 + 1, 512 * 1024, 512 * 1024 + 1, 3_000_000];
    for (seed, size) in (0..).zip(sizes) {
        let key = format!("a/{size}");
        let body = pattern(size, seed);
        let etag = put(&client, &key, body.clone()).await;
        assert_eq!(get(&client, &key).await, body, "{size}");
        let head = client.head_object().bucket(BUCKET).key(&key).send().await.unwrap();
        assert_eq!(head.content_length, Some(i64::try_from(size).unwrap()));
        assert_eq!(head.e_tag, Some(etag));
    }
    // The three small ones are in their rows.
    assert_eq!(fixture.data_files().len(), 4);
    let fixture = fixture.reopen();
    assert_eq!(get(&fixture.s3(), "a/3000000").await, pattern(3_000_000, 6));
    assert_eq!(fixture.data_files().len(), 4);
}

#[tokio::test]
async fn ranges_and_overrides() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let body = pattern(1_500_000, 1);
    put(&client, "big", body.clone()).await;
    put(&client, "small", body[..100].to_vec()).await;
    let ranges = [("bytes=0-0", 0..1), ("bytes=524287-524289", 524_287..524_290), ("bytes=-5", 1_499_995..1_500_000)];
    for (range, expected) in ranges {
        let get = client.get_object().bucket(BUCKET).key("big").range(range);
        let object = get.response_content_type("text/x").send().await.unwrap();
        assert_eq!(object.content_type(), Some("text/x"));
        let content_range = format!("bytes {}-{}/1500000", expected.start, expected.end - 1);
        assert_eq!(object.content_range(), Some(&*content_range));
        assert_eq!(collect(object.body).await, body[expected]);
    }
    let get = client.get_object().bucket(BUCKET).key("small").range("bytes=90-");
    assert_eq!(collect(get.send().await.unwrap().body).await, body[90..100]);
    let get = client.get_object().bucket(BUCKET).key("small").range("bytes=100-");
    assert_eq!(code!(get.send().await), "InvalidRange");
}

#[tokio::test]
async fn what_is_missing_has_a_name() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    assert_eq!(code!(client.get_object().bucket(BUCKET).key("k").send().await), "NoSuchKey");
    assert_eq!(code!(client.get_object().bucket("other").key("k").send().await), "NoSuchBucket");
    let put = client.put_object().bucket("other").key("k").body(Vec::new().into());
    assert_eq!(code!(put.send().await), "NoSuchBucket");
    let head = client.head_object().bucket(BUCKET).key("k").send().await.unwrap_err();
    assert!(head.into_service_error().is_not_found());
    let head = client.head_bucket().bucket("other").send().await.unwrap_err();
    assert!(head.into_service_error().is_not_found());
    client.head_bucket().bucket(BUCKET).send().await.unwrap();
    assert_eq!(code!(client.create_bucket().bucket(BUCKET).send().await), "BucketAlreadyOwnedByYou");
    client.delete_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(code!(client.list_buckets().send().await), "NotImplemented");
}

#[tokio::test]
async fn headers_are_kept_and_copied() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let put = client.put_object().bucket(BUCKET).key("from").body(pattern(20_000, 3).into());
    let put = put.content_type("a/b").cache_control("no-store").metadata("digest", "sha256:1");
    put.server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::Aes256).send().await.unwrap();

    let copy = client.copy_object().bucket(BUCKET).key("to").copy_source(format!("{BUCKET}/from"));
    copy.clone().send().await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("to").send().await.unwrap();
    assert_eq!((head.content_type(), head.cache_control()), (Some("a/b"), Some("no-store")));
    assert_eq!(head.metadata().unwrap()["digest"], "sha256:1");
    assert_eq!(head.server_side_encryption(), None);
    let head = client.head_object().bucket(BUCKET).key("from").send().await.unwrap();
    assert_eq!(head.server_side_encryption(), Some(&aws_sdk_s3::types::ServerSideEncryption::Aes256));

    let copy = copy.metadata_directive(MetadataDirective::Replace).content_type("c/d");
    copy.send().await.unwrap();
    let object = client.get_object().bucket(BUCKET).key("to").send().await.unwrap();
    assert_eq!((object.content_type(), object.cache_control()), (Some("c/d"), None));
    assert_eq!(collect(object.body).await, pattern(20_000, 3));
}

#[tokio::test]
async fn conditions_hold() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let put = || client.put_object().bucket(BUCKET).key("k").body(b"1".to_vec().into());
    let get = || client.get_object().bucket(BUCKET).key("k");
    assert_eq!(code!(put().if_match("\"x\"").send().await), "NoSuchKey");
    let etag = put().if_none_match("*").send().await.unwrap().e_tag.unwrap();
    assert_eq!(code!(put().if_none_match("*").send().await), "PreconditionFailed");
    assert_eq!(code!(put().if_match("\"x\"").send().await), "PreconditionFailed");
    let second = put().if_match(&etag).send().await.unwrap().e_tag.unwrap();
    assert_ne!(second, etag);
    assert_eq!(code!(get().if_match(&etag).send().await), "PreconditionFailed");
    get().if_match(&second).send().await.unwrap();
    let unchanged = get().if_none_match(&second).send().await.unwrap_err();
    assert_eq!(unchanged.raw_response().unwrap().status().as_u16(), 304);
    let delete = client.delete_object().bucket(BUCKET).key("k");
    assert_eq!(code!(delete.clone().if_match(&etag).send().await), "PreconditionFailed");
    delete.if_match(&second).send().await.unwrap();
    assert_eq!(code!(get().send().await), "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_conditional_puts_one_wins() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    for size in [10, 100_000] {
        let key = format!("race/{size}");
        let racers = (0..64).map(|seed| {
            let put = client.put_object().bucket(BUCKET).key(&key).if_none_match("*");
            let put = put.body(pattern(size, seed).into()).send();
            tokio::spawn(async move { (seed, put.await) })
        });
        let mut winners = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.unwrap() {
                (seed, Ok(_)) => winners.push(seed),
                (_, Err(error)) => assert_eq!(error.code(), Some("PreconditionFailed")),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(get(&client, &key).await, pattern(size, winners[0]));
    }
    fixture.wait_for_files(1).await;
}

#[tokio::test]
async fn checksums_are_checked_and_leave_nothing_behind() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    for (seed, size) in [(1, 100), (2, 100_000)] {
        let put = || client.put_object().bucket(BUCKET).key("k").body(pattern(size, seed).into());
        let wrong = put().checksum_sha256("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(code!(wrong.send().await), "BadDigest");
        let wrong = put().checksum_crc32_c("AAAAAA==");
        assert_eq!(code!(wrong.send().await), "BadDigest");
        let wrong = put().content_md5("1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(code!(wrong.send().await), "BadDigest");
        assert_eq!(code!(client.get_object().bucket(BUCKET).key("k").send().await), "NoSuchKey");
    }
    fixture.wait_for_files(0).await;
    // Sent as trailers of a chunked body by this client, and asked for without a
    // claim by the other.
    let config = fixture.s3_config("http://localhost");
    let config = config.request_checksum_calculation(RequestChecksumCalculation::WhenSupported).build();
    let chunked = aws_sdk_s3::Client::from_conf(config);
    let cases = [
        (&client, ChecksumAlgorithm::Crc32, 100),
        (&client, ChecksumAlgorithm::Sha256, 100_000),
        (&chunked, ChecksumAlgorithm::Crc32, 100),
        (&chunked, ChecksumAlgorithm::Sha256, 100_000),
    ];
    for (client, algorithm, size) in cases {
        let path = fixture.dir.path().join("body");
        std::fs::write(&path, pattern(size, 9)).unwrap();
        let body = ByteStream::from_path(&path).await.unwrap();
        let put = client.put_object().bucket(BUCKET).key("k").body(body);
        put.checksum_algorithm(algorithm.clone()).send().await.unwrap();
        let get = client.get_object().bucket(BUCKET).key("k").checksum_mode(ChecksumMode::Enabled);
        let object = get.send().await.unwrap();
        let sum = object.checksum_crc32().or(object.checksum_sha256());
        assert!(sum.is_some(), "{algorithm:?}");
        assert_eq!(collect(object.body).await, pattern(size, 9));
    }
}

#[tokio::test]
async fn a_body_that_ends_early_makes_no_object() {
    use futures::StreamExt as _;
    use http_body::Frame;
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    for sent in [10, 100_000, 900_000] {
        for broken in [false, true] {
            let half = futures::stream::iter([Ok(Frame::data(Bytes::from(pattern(sent, 1))))]);
            let end = futures::stream::iter(broken.then(|| Err(std::io::Error::other("connection reset"))));
            let body = http_body_util::StreamBody::new(half.chain(end));
            let put = client.put_object().bucket(BUCKET).key("k").content_length(1_000_000);
            let put = put.body(ByteStream::new(SdkBody::from_body_1_x(body)));
            let error = put.customize().disable_payload_signing().send().await.unwrap_err();
            assert!(error.code().is_none_or(|code| code == "IncompleteBody"), "{error:?}");
        }
    }
    assert_eq!(code!(client.get_object().bucket(BUCKET).key("k").send().await), "NoSuchKey");
    fixture.wait_for_files(0).await;
}

#[tokio::test]
async fn files_go_when_nothing_needs_them() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    put(&client, "one", pattern(100_000, 1)).await;
    put(&client, "one", pattern(200_000, 2)).await;
    fixture.wait_for_files(1).await;
    // A copy shares the file, and a copy onto itself keeps it.
    for key in ["two", "three", "one"] {
        let copy = client.copy_object().bucket(BUCKET).key(key).copy_source(format!("{BUCKET}/one"));
        copy.send().await.unwrap();
    }
    fixture.wait_for_files(1).await;
    client.delete_object().bucket(BUCKET).key("one").send().await.unwrap();
    assert_eq!(get(&client, "two").await, pattern(200_000, 2));
    let ids = ["two", "three", "never"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(ids.to_vec())).build().unwrap();
    let answer = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!(answer.deleted().len(), 3);
    fixture.wait_for_files(0).await;
}

#[tokio::test]
async fn a_reader_keeps_what_is_deleted_under_it() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let body = pattern(3_000_000, 5);
    put(&client, "k", body.clone()).await;
    let mut object = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
    let mut read = object.body.next().await.unwrap().unwrap().to_vec();
    client.delete_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(fixture.data_files().len(), 1);
    while let Some(bytes) = object.body.next().await {
        read.extend(bytes.unwrap());
    }
    assert_eq!(read, body);
    drop(object);
    fixture.wait_for_files(0).await;
}

#[tokio::test]
async fn the_start_removes_files_without_a_row() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    put(&client, "k", pattern(100_000, 1)).await;
    let stray = fixture.data_dir().join("regions/us-east-1/objects/ab/abababab");
    std::fs::write(&stray, b"left by a crash").unwrap();
    let fixture = fixture.reopen();
    assert!(!stray.exists());
    assert_eq!(get(&fixture.s3(), "k").await, pattern(100_000, 1));
}

#[tokio::test]
async fn lists_have_pages_and_folders() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    for key in ["a", "b/1", "b/2", "b/3", "c", "c/", "c/1", "d", "é"] {
        put(&client, key, b"x".to_vec()).await;
    }
    let list = || client.list_objects_v2().bucket(BUCKET);
    let mut keys = Vec::new();
    let mut pages = list().max_keys(2).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!(page.contents().len() <= 2);
        keys.extend(page.contents.unwrap().into_iter().map(|object| object.key.unwrap()));
    }
    assert_eq!(keys, ["a", "b/1", "b/2", "b/3", "c", "c/", "c/1", "d", "é"]);

    let mut found = Vec::new();
    let mut pages = list().delimiter("/").max_keys(2).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        let prefixes = page.common_prefixes().iter().map(|prefix| prefix.prefix().unwrap().to_owned());
        let keys = page.contents().iter().map(|object| object.key().unwrap().to_owned());
        found.extend(prefixes.chain(keys));
    }
    found.sort();
    assert_eq!(found, ["a", "b/", "c", "c/", "d", "é"]);

    let page = list().prefix("b/").start_after("b/1").send().await.unwrap();
    assert_eq!(page.key_count(), Some(2));
    assert_eq!(page.is_truncated(), Some(false));
    assert_eq!(list().prefix("nothing").send().await.unwrap().key_count(), Some(0));
    assert_eq!(code!(list().continuation_token("?").send().await), "InvalidArgument");
}
