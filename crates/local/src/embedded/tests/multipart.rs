use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::*;

const MIB: usize = 1024 * 1024;

async fn start(client: &aws_sdk_s3::Client, key: &str) -> String {
    let start = client.create_multipart_upload().bucket(BUCKET).key(key).content_type("a/b");
    start.send().await.unwrap().upload_id.unwrap()
}

async fn part(client: &aws_sdk_s3::Client, key: &str, id: &str, number: i32, body: Vec<u8>) -> CompletedPart {
    let part = client.upload_part().bucket(BUCKET).key(key).upload_id(id).part_number(number);
    let answer = part.body(body.into()).send().await.unwrap();
    CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag).build()
}

fn complete(
    client: &aws_sdk_s3::Client,
    key: &str,
    id: &str,
    parts: &[&CompletedPart],
) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder {
    let parts = parts.iter().map(|part| (*part).clone()).collect();
    let list = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(id).multipart_upload(list)
}

#[tokio::test]
async fn parts_become_an_object_in_the_order_of_their_numbers() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let id = start(&client, "k").await;
    let (one, two, three) = (pattern(5 * MIB, 1), pattern(5 * MIB + 7, 2), pattern(9, 3));
    let p3 = part(&client, "k", &id, 30, three.clone()).await;
    let p1 = part(&client, "k", &id, 1, one.clone()).await;
    let _ = part(&client, "k", &id, 2, pattern(6 * MIB, 9)).await;
    let p2 = part(&client, "k", &id, 2, two.clone()).await;
    // An uploaded part that is not in the list goes away.
    let _ = part(&client, "k", &id, 31, pattern(MIB, 8)).await;
    fixture.wait_for_files(3).await;
    let answer = complete(&client, "k", &id, &[&p1, &p2, &p3]).send().await.unwrap();
    assert!(answer.e_tag().unwrap().ends_with("-3\""));
    fixture.wait_for_files(2).await;

    let whole = [one, two, three].concat();
    let object = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(object.content_type(), Some("a/b"));
    assert!(collect(object.body).await == whole);
    // Over the border of parts, and into the small part that lives in the row.
    let get = client.get_object().bucket(BUCKET).key("k").range(format!("bytes={}-", 10 * MIB + 2));
    assert_eq!(collect(get.send().await.unwrap().body).await, whole[10 * MIB + 2..]);
    assert_eq!(code!(complete(&client, "k", &id, &[&p1]).send().await), "NoSuchUpload");
    let fixture = fixture.reopen();
    assert!(get_all(&fixture).await == whole);
}

async fn get_all(fixture: &Fixture) -> Vec<u8> {
    get(&fixture.s3(), "k").await
}

#[tokio::test]
async fn wrong_lists_are_refused() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let id = start(&client, "k").await;
    let p1 = part(&client, "k", &id, 1, pattern(5 * MIB, 1)).await;
    let p2 = part(&client, "k", &id, 2, pattern(1000, 2)).await;
    let p3 = part(&client, "k", &id, 3, pattern(1000, 3)).await;
    let other = CompletedPart::builder().part_number(2).set_e_tag(p1.e_tag.clone()).build();
    let missing = CompletedPart::builder().part_number(4).set_e_tag(p1.e_tag.clone()).build();
    assert_eq!(code!(complete(&client, "k", &id, &[&p2, &p1]).send().await), "InvalidPartOrder");
    assert_eq!(code!(complete(&client, "k", &id, &[&p1, &p1]).send().await), "InvalidPartOrder");
    assert_eq!(code!(complete(&client, "k", &id, &[&p1, &other]).send().await), "InvalidPart");
    assert_eq!(code!(complete(&client, "k", &id, &[&p1, &missing]).send().await), "InvalidPart");
    assert_eq!(code!(complete(&client, "k", &id, &[&p1, &p2, &p3]).send().await), "EntityTooSmall");
    assert_eq!(code!(complete(&client, "k", &id, &[]).send().await), "MalformedXML");
    assert_eq!(code!(complete(&client, "other", &id, &[&p1]).send().await), "NoSuchUpload");
    put(&client, "k", b"there".to_vec()).await;
    let late = complete(&client, "k", &id, &[&p1, &p2]).if_none_match("*");
    assert_eq!(code!(late.send().await), "PreconditionFailed");
    // None of that ended the upload.
    complete(&client, "k", &id, &[&p1, &p2]).send().await.unwrap();
    assert_eq!(get(&client, "k").await.len(), 5 * MIB + 1000);
    let part = client.upload_part().bucket(BUCKET).key("k").upload_id(&id).part_number(0);
    assert_eq!(code!(part.body(Vec::new().into()).send().await), "InvalidArgument");
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let id = start(&client, "k").await;
    part(&client, "k", &id, 1, pattern(MIB, 1)).await;
    let abort = client.abort_multipart_upload().bucket(BUCKET).key("k").upload_id(&id);
    abort.clone().send().await.unwrap();
    fixture.wait_for_files(0).await;
    assert_eq!(code!(abort.send().await), "NoSuchUpload");
    let part = client.upload_part().bucket(BUCKET).key("k").upload_id(&id).part_number(1);
    assert_eq!(code!(part.body(pattern(MIB, 1).into()).send().await), "NoSuchUpload");
    fixture.wait_for_files(0).await;
}

#[tokio::test]
async fn parts_are_copied_without_their_bytes() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let source = pattern(6 * MIB, 1);
    put(&client, "from", source.clone()).await;
    let id = start(&client, "to").await;
    let copy = |number, range: Option<&str>| {
        let copy = client.upload_part_copy().bucket(BUCKET).key("to").upload_id(&id).part_number(number);
        let copy = copy.copy_source(format!("{BUCKET}/from"));
        copy.set_copy_source_range(range.map(str::to_owned))
    };
    let done = |number, answer: aws_sdk_s3::operation::upload_part_copy::UploadPartCopyOutput| {
        let etag = answer.copy_part_result.unwrap().e_tag;
        CompletedPart::builder().part_number(number).set_e_tag(etag).build()
    };
    let p1 = done(1, copy(1, None).send().await.unwrap());
    let p2 = done(2, copy(2, Some("bytes=10-5242889")).send().await.unwrap());
    let p3 = done(3, copy(3, Some("bytes=0-0")).send().await.unwrap());
    assert_eq!(code!(copy(4, Some("bytes=0-6291456")).send().await), "InvalidRange");
    assert_eq!(code!(copy(4, Some("0-1")).send().await), "InvalidArgument");
    fixture.wait_for_files(1).await;
    client.delete_object().bucket(BUCKET).key("from").send().await.unwrap();
    assert_eq!(code!(copy(4, None).send().await), "NoSuchKey");
    complete(&client, "to", &id, &[&p1, &p2, &p3]).send().await.unwrap();
    let expected = [&source, &source[10..5_242_890], &source[..1]].concat();
    assert!(get(&client, "to").await == expected);
    client.delete_object().bucket(BUCKET).key("to").send().await.unwrap();
    fixture.wait_for_files(0).await;
}

#[tokio::test]
async fn uploads_and_parts_are_listed_in_pages() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let mut started = Vec::new();
    for key in ["a", "b", "b", "c/x"] {
        started.push((key.to_owned(), start(&client, key).await));
    }
    started.sort();
    let mut found = Vec::new();
    let (mut key, mut id) = (None, None);
    loop {
        let list = client.list_multipart_uploads().bucket(BUCKET).max_uploads(1);
        let page = list.set_key_marker(key).set_upload_id_marker(id).send().await.unwrap();
        found.extend(
            page.uploads()
                .iter()
                .map(|upload| (upload.key().unwrap().to_owned(), upload.upload_id().unwrap().to_owned())),
        );
        if page.is_truncated() != Some(true) {
            break;
        }
        (key, id) = (page.next_key_marker, page.next_upload_id_marker);
    }
    assert_eq!(found, started);
    let list = client.list_multipart_uploads().bucket(BUCKET).prefix("c/");
    assert_eq!(list.send().await.unwrap().uploads().len(), 1);

    let (key, id) = &started[0];
    for number in [3, 1, 2] {
        part(&client, key, id, number, pattern(100 * usize::try_from(number).unwrap(), 1)).await;
    }
    let mut pages = client.list_parts().bucket(BUCKET).key(key).upload_id(id).max_parts(2).into_paginator().send();
    let mut parts = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        parts.extend(page.parts().iter().map(|part| (part.part_number().unwrap(), part.size().unwrap())));
    }
    assert_eq!(parts, [(1, 100), (2, 200), (3, 300)]);
}
