use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeySpec};

use super::*;

async fn key(client: &aws_sdk_kms::Client) -> aws_sdk_kms::types::KeyMetadata {
    client.create_key().description("for repositories").send().await.unwrap().key_metadata.unwrap()
}

#[tokio::test]
async fn keys_encrypt_within_their_context() {
    let fixture = Fixture::new();
    let client = fixture.kms();
    let key = key(&client).await;
    let arn = key.arn.unwrap();
    assert_eq!(arn, format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{}", key.key_id));
    assert_eq!(key.key_id.len(), 36);

    let data = client.generate_data_key().key_id(&arn).key_spec(DataKeySpec::Aes256);
    let data = data.encryption_context("repo", "a").encryption_context("account", "1").send().await.unwrap();
    let plaintext = data.plaintext.unwrap();
    assert_eq!(plaintext.as_ref().len(), 32);
    let decrypt = || client.decrypt().ciphertext_blob(data.ciphertext_blob.clone().unwrap());
    let decrypt_in = || decrypt().encryption_context("account", "1").encryption_context("repo", "a");
    assert_eq!(decrypt_in().send().await.unwrap().plaintext.unwrap(), plaintext);
    assert_eq!(decrypt_in().key_id(&key.key_id).send().await.unwrap().key_id, Some(arn.clone()));
    assert_eq!(code!(decrypt().send().await), "InvalidCiphertextException");
    assert_eq!(code!(decrypt().encryption_context("repo", "b").send().await), "InvalidCiphertextException");
    let other = self::key(&client).await.key_id;
    assert_eq!(code!(decrypt_in().key_id(other).send().await), "IncorrectKeyException");

    let mut tampered = data.ciphertext_blob.clone().unwrap().into_inner();
    *tampered.last_mut().unwrap() ^= 1;
    for blob in [tampered, Vec::from(b"\x01short"), Vec::from(b"x"), vec![1; 100]] {
        let decrypt = client.decrypt().ciphertext_blob(Blob::new(blob));
        assert_eq!(code!(decrypt.send().await), "InvalidCiphertextException");
    }

    // All of it is still there after a restart.
    let fixture = fixture.reopen();
    let decrypt = fixture.kms().decrypt().ciphertext_blob(data.ciphertext_blob.unwrap());
    let decrypt = decrypt.encryption_context("account", "1").encryption_context("repo", "a");
    assert_eq!(decrypt.send().await.unwrap().plaintext.unwrap(), plaintext);
}

#[tokio::test]
async fn aliases_name_keys() {
    let fixture = Fixture::new();
    let client = fixture.kms();
    let id = key(&client).await.key_id;
    let alias = |name: &str| client.create_alias().alias_name(name).target_key_id(&id);
    for name in ["alias/one", "alias/two", "alias/three"] {
        alias(name).send().await.unwrap();
    }
    assert_eq!(code!(alias("alias/one").send().await), "AlreadyExistsException");
    assert_eq!(code!(alias("one").send().await), "ValidationException");
    assert_eq!(code!(alias("alias/aws/s3").send().await), "ValidationException");

    let arn = format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/one");
    for name in ["alias/one", &arn, &id] {
        let described = client.describe_key().key_id(name).send().await.unwrap();
        assert_eq!(described.key_metadata.unwrap().key_id, id);
    }
    let elsewhere = arn.replace(REGION, "eu-west-2");
    for name in ["alias/none", "11111111-1111-4111-8111-111111111111", &elsewhere] {
        assert_eq!(code!(client.describe_key().key_id(name).send().await), "NotFoundException");
    }

    let mut names = Vec::new();
    let mut pages = client.list_aliases().limit(2).into_paginator().send();
    while let Some(page) = pages.next().await {
        names.extend(page.unwrap().aliases.unwrap().into_iter().map(|alias| alias.alias_name.unwrap()));
    }
    assert_eq!(names, ["alias/one", "alias/three", "alias/two"]);
    let other = key(&client).await.key_id;
    assert!(client.list_aliases().key_id(other).send().await.unwrap().aliases().is_empty());
}

#[tokio::test]
async fn a_disabled_key_does_nothing() {
    let fixture = Fixture::new();
    let client = fixture.kms();
    let id = key(&client).await.key_id;
    let encrypt = || client.encrypt().key_id(&id).plaintext(Blob::new("text"));
    let blob = encrypt().send().await.unwrap().ciphertext_blob.unwrap();
    let decrypt = || client.decrypt().ciphertext_blob(blob.clone());
    client.disable_key().key_id(&id).send().await.unwrap();
    assert_eq!(code!(encrypt().send().await), "DisabledException");
    assert_eq!(code!(decrypt().send().await), "DisabledException");
    let described = client.describe_key().key_id(&id).send().await.unwrap().key_metadata.unwrap();
    assert!(!described.enabled);
    client.enable_key().key_id(&id).send().await.unwrap();
    assert_eq!(decrypt().send().await.unwrap().plaintext.unwrap().as_ref(), b"text");
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let fixture = Fixture::new();
    let client = fixture.kms();
    let id = key(&client).await.key_id;
    let error = client.get_public_key().key_id(&id).send().await.unwrap_err().into_service_error();
    assert_eq!(error.meta().code(), Some("UnsupportedOperationException"));
    assert!(error.meta().message().unwrap().contains("GetPublicKey"));
    let create = client.create_key().key_spec(KeySpec::EccNistP256);
    assert_eq!(code!(create.send().await), "UnsupportedOperationException");
    let both = client.generate_data_key().key_id(&id).key_spec(DataKeySpec::Aes128).number_of_bytes(8);
    assert_eq!(code!(both.send().await), "ValidationException");
    let long = client.encrypt().key_id(&id).plaintext(Blob::new(vec![0; 4097]));
    assert_eq!(code!(long.send().await), "ValidationException");
}

/// The file alone gives nothing away.
#[tokio::test]
async fn material_is_sealed() {
    let fixture = Fixture::new();
    let id = key(&fixture.kms()).await.key_id;
    let root = fixture.data_dir().join("root.key");
    let path = fixture.data_dir().join("regions/us-east-1/kms.sqlite");
    let sealed: Vec<u8> = rusqlite::Connection::open(path)
        .unwrap()
        .query_row("SELECT sealed FROM keys WHERE id = ?1", [&id], |row| row.get(0))
        .unwrap();
    assert_eq!(sealed.len(), 12 + 32 + 16);
    let Fixture { embedded, services, dir } = fixture;
    drop((embedded, services));
    std::fs::write(root, [7; 32]).unwrap();
    let embedded = Embedded::open(&dir.path().join("data"), ACCOUNT).unwrap();
    let services = embedded.region(REGION).unwrap();
    let fixture = Fixture { embedded, services, dir };
    let encrypt = fixture.kms().encrypt().key_id(&id).plaintext(Blob::new("text"));
    assert_eq!(code!(encrypt.send().await), "KMSInternalException");
}
