//! A bug is planted: a handler has taken the storage of the wrong tenant. It
//! goes on as handlers do, and every step is stopped below it.

use ironwharf_cloud::PresignHost;
use ironwharf_cloud::table::{Encryption, Incarnation, Repository, RepositoryChange, RepositoryKey, Work, WorkKind};
use ironwharf_model::{AccountSetting, Digest, RepositoryName, Tag, TagMutability, TemplatePrefix};

use super::*;

fn repository(tenant: &str) -> Repository {
    let name = RepositoryName::parse("private").unwrap();
    Repository {
        key: RepositoryKey { account: account(tenant), name, incarnation: Incarnation::random() },
        created_at_ms: 1,
        mutability: TagMutability::default(),
        scan_on_push: false,
        encryption: Encryption { encryption_type: "AES256".to_owned(), kms_key: None },
        labels: std::collections::BTreeMap::new(),
        revision: 0,
    }
}

#[tokio::test]
async fn the_storage_of_the_wrong_tenant_gives_and_takes_nothing() {
    let storage = Storage::new().await;
    let (reads, writes) = {
        let tenants = &storage.cloud.tenants;
        (tenants.storage(&account(ONE), Mode::Read).await, tenants.storage(&account(ONE), Mode::Write).await)
    };
    let (reads, writes) = (reads.unwrap(), writes.unwrap());
    let victims = repository(OTHER);
    let right = storage.cloud.tenants.storage(&account(OTHER), Mode::Write).await.unwrap();
    assert!(right.table.create_repository(&victims, None).await.unwrap());

    let refused = |error: ironwharf_model::Error| {
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(source.contains("AccessDenied"), "{error}: {source}");
    };
    let (key, tag, digest) = (&victims.key, Tag::parse("latest").unwrap(), Digest::sha256(b"x"));
    let setting = AccountSetting::BlobMounting;
    let purge = Work {
        account: key.account.clone(),
        kind: WorkKind::Purge,
        id: "x".to_owned(),
        due_at_s: 1,
        details: String::new(),
    };
    for wrong in [&reads, &writes] {
        refused(wrong.table.repository(&key.account, &key.name).await.unwrap_err());
        refused(wrong.table.repository_names(&key.account, None, 10).await.map(drop).unwrap_err());
        refused(wrong.table.tagged_manifest(key, &tag).await.map(drop).unwrap_err());
        refused(wrong.table.layers(key, std::slice::from_ref(&digest)).await.map(drop).unwrap_err());
        refused(wrong.table.tags(key, None, 10).await.map(drop).unwrap_err());
        refused(wrong.table.repository_policy(key).await.unwrap_err());
        refused(wrong.table.create_repository(&repository(OTHER), None).await.unwrap_err());
        refused(wrong.table.delete_repository(key, None, &purge, 1).await.map(drop).unwrap_err());
        refused(wrong.table.purge_repository_page(key, 1).await.map(drop).unwrap_err());
        refused(wrong.table.change_repository(key, RepositoryChange::ScanOnPush(true)).await.unwrap_err());
        refused(wrong.table.registry(&key.account).await.map(drop).unwrap_err());
        refused(wrong.table.put_account_setting(&key.account, setting, "DISABLED").await.unwrap_err());
        refused(wrong.table.template(&key.account, &TemplatePrefix::Root).await.map(drop).unwrap_err());
        refused(wrong.table.delete_template(&key.account, &TemplatePrefix::Root).await.map(drop).unwrap_err());
        refused(wrong.table.link_layer(key, &digest, 1).await.map(drop).unwrap_err());
        refused(wrong.objects.get(&format!("{OTHER}/blob")).await.unwrap_err());
        refused(wrong.objects.put(&format!("{OTHER}/new"), vec![1].into()).await.unwrap_err());
        let url = wrong.objects.presign(&format!("{OTHER}/blob"), PresignHost::Registry("localhost:5100")).await;
        let request = http::Request::get(url.unwrap()).header("host", "localhost:5100").body(()).unwrap();
        assert_eq!(storage.services.objects.serve(request).await.status(), 403);
    }
    assert!(right.table.repository(&key.account, &key.name).await.unwrap().is_some());
}

#[tokio::test]
async fn fifty_handlers_at_once_ask_for_one_session() {
    let storage = Storage::new().await;
    drop(storage.counts.take());
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let tenants = storage.cloud.tenants.clone();
        asking.spawn(async move { tenants.storage(&account(ONE), Mode::Read).await.map(drop).is_ok() });
    }
    assert!(asking.join_all().await.into_iter().all(|done| done));
    assert_eq!(storage.counts.take().get("STS AssumeRole"), Some(&1));
    for (tenant, mode) in [(ONE, Mode::Write), (OTHER, Mode::Read), (ONE, Mode::Read)] {
        storage.cloud.tenants.storage(&account(tenant), mode).await.unwrap();
    }
    assert_eq!(storage.counts.take().get("STS AssumeRole"), Some(&2));
}
