use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, DeleteRequest, Get, KeysAndAttributes, Put, PutRequest, TransactGetItem,
    TransactWriteItem, Update, WriteRequest,
};

use super::*;

type Item = HashMap<String, AttributeValue>;

pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn key(tenant: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(&format!("T#{tenant}#X"))), ("sk".to_owned(), text("x"))])
}

const DENIED: &str = "AccessDeniedException";

/// The code of a refused request, or `done`.
macro_rules! outcome {
    ($result:expr) => {{
        let result = $result;
        if result.is_ok() { "done".to_owned() } else { code!(result) }
    }};
}

#[tokio::test]
async fn one_item_is_the_tenants_own_or_refused() {
    let storage = Storage::new().await;
    let client = storage.dynamodb(storage.session(ONE, Mode::Write));
    for (tenant, expected) in [(ONE, "done"), (OTHER, DENIED)] {
        let get = client.get_item().table_name(TABLE).set_key(Some(key(tenant)));
        assert_eq!(outcome!(get.send().await), expected);
        let put = client.put_item().table_name(TABLE).set_item(Some(key(tenant)));
        assert_eq!(outcome!(put.send().await), expected);
        let update = client.update_item().table_name(TABLE).set_key(Some(key(tenant)));
        let update = update.update_expression("SET a = :a").expression_attribute_values(":a", text("a"));
        assert_eq!(outcome!(update.send().await), expected);
        let delete = client.delete_item().table_name(TABLE).set_key(Some(key(tenant)));
        assert_eq!(outcome!(delete.send().await), expected);
    }
    // What is no tenant's, and what only begins like a tenant's.
    for partition in ["SYSTEM#ACCOUNTS", "SYSTEM#SEALING-KEYS", "T#1111111111110#X", "T#111111111111", "*"] {
        let key = HashMap::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text("x"))]);
        let get = client.get_item().table_name(TABLE).set_key(Some(key));
        assert_eq!(outcome!(get.send().await), DENIED, "{partition}");
    }
    // `ForAllValues` passes over an empty text; no key can be one.
    let empty = client.get_item().table_name(TABLE).key("pk", text("")).key("sk", text("x"));
    assert_eq!(outcome!(empty.send().await), "ValidationException");
    let untouched = storage.dynamodb(storage.service()).get_item().table_name(TABLE).set_key(Some(key(OTHER)));
    assert_eq!(untouched.send().await.unwrap().item, Some(key(OTHER)));
}

#[tokio::test]
async fn a_refusal_names_session_action_and_resource() {
    let storage = Storage::new().await;
    let client = storage.dynamodb(storage.session(ONE, Mode::Read));
    let get = client.get_item().table_name(TABLE).set_key(Some(key(OTHER))).send().await.unwrap_err();
    let message = aws_sdk_dynamodb::error::ProvideErrorMetadata::message(&get).unwrap().to_owned();
    assert_eq!(
        message,
        "User: arn:aws:sts::123456789012:assumed-role/ironwharf-tenant-read/111111111111 is not authorized to perform: \
         dynamodb:GetItem on resource: arn:aws:dynamodb:us-east-1:123456789012:table/ironwharf because no \
         identity-based policy allows the dynamodb:GetItem action"
    );
}

#[tokio::test]
async fn a_batch_with_one_foreign_item_is_refused_as_a_whole() {
    let storage = Storage::new().await;
    let client = storage.dynamodb(storage.session(ONE, Mode::Write));
    for (tenants, expected) in [(&[ONE][..], "done"), (&[ONE, OTHER], DENIED), (&[OTHER], DENIED)] {
        let keys = KeysAndAttributes::builder().set_keys(Some(tenants.iter().map(|tenant| key(tenant)).collect()));
        let get = client.batch_get_item().request_items(TABLE, keys.build().unwrap());
        assert_eq!(outcome!(get.send().await), expected);
        let writes = tenants.iter().map(|tenant| {
            let put = PutRequest::builder().set_item(Some(key(tenant))).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let write = client.batch_write_item().request_items(TABLE, writes.collect());
        assert_eq!(outcome!(write.send().await), expected);
        let deletes = tenants.iter().map(|tenant| {
            let delete = DeleteRequest::builder().set_key(Some(key(tenant))).build().unwrap();
            WriteRequest::builder().delete_request(delete).build()
        });
        let write = client.batch_write_item().request_items(TABLE, deletes.collect());
        assert_eq!(outcome!(write.send().await), expected);
    }
}

#[tokio::test]
async fn a_transaction_with_one_foreign_item_is_refused_as_a_whole() {
    let storage = Storage::new().await;
    let client = storage.dynamodb(storage.session(ONE, Mode::Write));
    let item = |kind: &str, tenant: &str| {
        let item = TransactWriteItem::builder();
        let key = Some(key(tenant));
        match kind {
            "put" => item.put(Put::builder().table_name(TABLE).set_item(key).build().unwrap()),
            "update" => {
                let update = Update::builder().table_name(TABLE).set_key(key).update_expression("SET a = :a");
                item.update(update.expression_attribute_values(":a", text("a")).build().unwrap())
            }
            "delete" => item.delete(Delete::builder().table_name(TABLE).set_key(key).build().unwrap()),
            _ => {
                let check = ConditionCheck::builder().table_name(TABLE).set_key(key);
                item.condition_check(check.condition_expression("attribute_exists(pk)").build().unwrap())
            }
        }
        .build()
    };
    for kind in ["put", "update", "check", "delete"] {
        let own = client.transact_write_items().transact_items(item(kind, ONE));
        assert_eq!(outcome!(own.send().await), "done", "{kind}");
        let mut mine = key(ONE);
        mine.insert("sk".to_owned(), text("another"));
        let mine = Put::builder().table_name(TABLE).set_item(Some(mine)).build().unwrap();
        let mine = TransactWriteItem::builder().put(mine).build();
        let mixed = client.transact_write_items().transact_items(mine).transact_items(item(kind, OTHER));
        assert_eq!(outcome!(mixed.send().await), DENIED, "{kind}");
    }
    for (tenant, expected) in [(ONE, "done"), (OTHER, DENIED)] {
        let get = Get::builder().table_name(TABLE).set_key(Some(key(tenant))).build().unwrap();
        let get = client.transact_get_items().transact_items(TransactGetItem::builder().get(get).build());
        assert_eq!(outcome!(get.send().await), expected);
    }
}

#[tokio::test]
async fn a_query_is_of_one_own_partition() {
    let storage = Storage::new().await;
    let client = storage.dynamodb(storage.session(ONE, Mode::Read));
    let query = |tenant: &str, condition: &str| -> QueryFluentBuilder {
        let partition = text(&format!("T#{tenant}#X"));
        let query = client.query().table_name(TABLE).key_condition_expression(condition);
        query.expression_attribute_values(":pk", partition)
    };
    for (tenant, expected) in [(ONE, "done"), (OTHER, DENIED)] {
        for condition in ["pk = :pk", "pk=:pk", ":pk = pk", "(pk = :pk)"] {
            assert_eq!(outcome!(query(tenant, condition).send().await), expected, "{condition}");
        }
        for condition in ["pk = :pk AND begins_with(sk, :x)", "begins_with(sk, :x) AND pk = :pk"] {
            let query = query(tenant, condition).expression_attribute_values(":x", text("x"));
            assert_eq!(outcome!(query.send().await), expected, "{condition}");
        }
        let named = query(tenant, "#p = :pk").expression_attribute_names("#p", "pk");
        assert_eq!(outcome!(named.send().await), expected);
    }
    // Two readings, or none, are no reading.
    for condition in ["pk = :pk AND pk = :other", "sk = :pk", "pk > :pk", "pk = :absent"] {
        let query = query(ONE, condition).expression_attribute_values(":other", text(&format!("T#{OTHER}#X")));
        assert_eq!(outcome!(query.send().await), DENIED, "{condition}");
    }
    let elsewhere = query(ONE, "pk = :pk").set_exclusive_start_key(Some(key(OTHER)));
    assert_eq!(outcome!(elsewhere.send().await), DENIED);
    let index = client.query().table_name(TABLE).index_name("due").key_condition_expression("due_shard = :shard");
    let index = index.expression_attribute_values(":shard", text(&format!("T#{ONE}#X")));
    assert_eq!(outcome!(index.send().await), DENIED);
    let index = query(ONE, "pk = :pk").index_name("due");
    assert_eq!(outcome!(index.send().await), DENIED);
}

#[tokio::test]
async fn nothing_but_items_is_reached() {
    let storage = Storage::new().await;
    let client: Client = storage.dynamodb(storage.session(ONE, Mode::Write));
    assert_eq!(outcome!(client.scan().table_name(TABLE).send().await), DENIED);
    assert_eq!(outcome!(client.scan().table_name(TABLE).index_name("due").send().await), DENIED);
    assert_eq!(outcome!(client.list_tables().send().await), DENIED);
    assert_eq!(outcome!(client.describe_table().table_name(TABLE).send().await), DENIED);
    assert_eq!(outcome!(client.delete_table().table_name(TABLE).send().await), DENIED);
    let other_table = client.get_item().table_name("another").set_key(Some(key(ONE)));
    assert_eq!(outcome!(other_table.send().await), DENIED);
    let arn = format!("arn:aws:dynamodb:eu-west-2:123456789012:table/{TABLE}");
    let other_region = client.get_item().table_name(arn).set_key(Some(key(ONE)));
    assert_eq!(outcome!(other_region.send().await), DENIED);
    let no_partition = client.get_item().table_name(TABLE).key("sk", text("x"));
    assert_eq!(outcome!(no_partition.send().await), DENIED);
}

#[tokio::test]
async fn a_reader_writes_nothing() {
    let storage = Storage::new().await;
    let client = storage.dynamodb(storage.session(ONE, Mode::Read));
    let get = client.get_item().table_name(TABLE).set_key(Some(key(ONE)));
    assert_eq!(outcome!(get.send().await), "done");
    let put = client.put_item().table_name(TABLE).set_item(Some(key(ONE)));
    assert_eq!(outcome!(put.send().await), DENIED);
    let delete = client.delete_item().table_name(TABLE).set_key(Some(key(ONE)));
    assert_eq!(outcome!(delete.send().await), DENIED);
}
