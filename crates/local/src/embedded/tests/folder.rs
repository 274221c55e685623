use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::embedded::OpenError;

#[test]
fn the_folder_is_private_and_held_by_one() {
    let fixture = Fixture::new();
    let mode = |name: &str| {
        let path = fixture.data_dir().join(name);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("regions/us-east-1"), 0o700);
    assert_eq!(mode("credentials.json"), 0o600);
    assert_eq!(mode("root.key"), 0o600);

    let second = Embedded::open(&fixture.data_dir(), ACCOUNT).unwrap_err();
    assert!(matches!(&second, OpenError::InUse { path } if *path == fixture.data_dir()), "{second}");
    assert!(second.to_string().contains("is in use by another process"));

    // Its databases are open for as long as a Region's services are there.
    let Fixture { embedded, services, dir } = fixture;
    drop(embedded);
    assert!(Embedded::open(&dir.path().join("data"), ACCOUNT).is_err());
    drop(services);
    Embedded::open(&dir.path().join("data"), ACCOUNT).unwrap();
}

#[test]
fn regions_and_credentials_survive_a_restart() {
    let fixture = Fixture::new();
    assert!(Arc::ptr_eq(&fixture.services, &fixture.embedded.region(REGION).unwrap()));
    fixture.embedded.region("eu-west-2").unwrap();
    let before = fixture.embedded.service_credentials().clone();
    let fixture = fixture.reopen();
    assert_eq!(fixture.embedded.existing_regions().unwrap(), ["eu-west-2", "us-east-1"]);
    let after = fixture.embedded.service_credentials();
    assert_eq!(after.access_key_id, before.access_key_id);
    assert_eq!(after.secret_access_key, before.secret_access_key);
    assert!(!format!("{:?}", fixture.embedded).contains(&after.secret_access_key));
}

#[test]
fn a_folder_is_of_one_account() {
    let fixture = Fixture::new();
    let data_dir = fixture.data_dir();
    let Fixture { embedded, services, dir: _dir } = fixture;
    drop((embedded, services));
    let error = Embedded::open(&data_dir, "210987654321").unwrap_err().to_string();
    let wanted = format!("belongs to account {ACCOUNT}; start with --account {ACCOUNT}, or name another folder");
    assert!(error.contains(&wanted), "{error}");
    Embedded::open(&data_dir, ACCOUNT).unwrap();
}

#[test]
fn a_region_is_a_plain_name() {
    let fixture = Fixture::new();
    for name in ["", "..", "../x", "US-EAST-1", "a/b", "-us", "us east", &"a".repeat(40)] {
        let error = fixture.embedded.region(name).unwrap_err();
        assert!(matches!(error, OpenError::InvalidRegion { .. }), "{name:?}: {error}");
    }
}

#[test]
fn a_damaged_secret_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("root.key"), b"short").unwrap();
    let error = Embedded::open(dir.path(), ACCOUNT).unwrap_err();
    assert!(error.to_string().ends_with("root.key is damaged: it must hold 32 bytes"), "{error}");
}

#[test]
fn a_lost_root_key_is_not_replaced() {
    let Fixture { embedded, services, dir } = Fixture::new();
    drop((embedded, services));
    let data_dir = dir.path().join("data");
    std::fs::remove_file(data_dir.join("root.key")).unwrap();
    let error = Embedded::open(&data_dir, ACCOUNT).unwrap_err();
    assert!(error.to_string().contains("root.key is damaged: it is missing"), "{error}");
    assert!(!data_dir.join("root.key").exists());
}

#[tokio::test]
async fn regions_do_not_share_buckets() {
    let fixture = Fixture::new();
    let here = fixture.bucket().await;
    let services = fixture.embedded.region("eu-west-2").unwrap();
    let config = fixture.s3_config("http://localhost").http_client(services.s3.clone());
    let there = aws_sdk_s3::Client::from_conf(config.region(Region::new("eu-west-2")).build());
    put(&here, "key", b"here".to_vec()).await;
    assert_eq!(code!(there.get_object().bucket(BUCKET).key("key").send().await), "NoSuchBucket");
}

#[tokio::test]
async fn maintenance_stops_with_the_folder() {
    let fixture = Fixture::new();
    fixture.embedded.spawn_maintenance();
    fixture.embedded.spawn_maintenance();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let Fixture { embedded, services, dir } = fixture;
    drop((embedded, services));
    for _ in 0..100 {
        if Embedded::open(&dir.path().join("data"), ACCOUNT).is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the folder is still held");
}
