use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, ConditionCheck, KeySchemaElement, KeyType, KeysAndAttributes,
    Put, ReturnValue, ReturnValuesOnConditionCheckFailure, ScalarAttributeType, StreamSpecification, StreamViewType,
    TimeToLiveSpecification, TransactWriteItem, Update,
};

use super::*;

const TABLE: &str = "registry";

type Item = HashMap<String, AttributeValue>;

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn item<const N: usize>(fields: [(&str, AttributeValue); N]) -> Item {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn at(pk: &str, sk: &str) -> Item {
    item([("PK", s(pk)), ("SK", s(sk))])
}

async fn table(fixture: &Fixture) -> aws_sdk_dynamodb::Client {
    let client = fixture.dynamodb();
    let mut create = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in [("PK", KeyType::Hash), ("SK", KeyType::Range)] {
        let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        create = create.attribute_definitions(definition.build().unwrap());
        create = create.key_schema(KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap());
    }
    let stream = StreamSpecification::builder().stream_enabled(true);
    let stream = stream.stream_view_type(StreamViewType::NewAndOldImages).build().unwrap();
    create.stream_specification(stream).send().await.unwrap();
    client
}

async fn put_item(client: &aws_sdk_dynamodb::Client, item: Item) {
    client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
}

async fn get_item(client: &aws_sdk_dynamodb::Client, pk: &str, sk: &str) -> Option<Item> {
    let get = client.get_item().table_name(TABLE).set_key(Some(at(pk, sk))).consistent_read(true);
    get.send().await.unwrap().item
}

#[tokio::test]
async fn a_cancelled_transaction_returns_what_was_there() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    let mut stored = at("a", "1");
    stored.insert("state".to_owned(), s("OPEN"));
    put_item(&client, stored.clone()).await;

    let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
    let put = Put::builder().table_name(TABLE).set_item(Some(at("b", "1")));
    let put = put.condition_expression("attribute_not_exists(PK)").build().unwrap();
    let check = ConditionCheck::builder().table_name(TABLE).set_key(Some(at("a", "1")));
    let check = check.condition_expression("#s = :s").expression_attribute_names("#s", "state");
    let check = check.expression_attribute_values(":s", s("DONE"));
    let check = check.return_values_on_condition_check_failure(all_old.clone()).build().unwrap();
    let update = Update::builder().table_name(TABLE).set_key(Some(at("c", "1")));
    let update = update.update_expression("SET x = :x").expression_attribute_values(":x", n(1));
    let update = update.condition_expression("attribute_exists(PK)");
    let update = update.return_values_on_condition_check_failure(all_old).build().unwrap();
    let send = client.transact_write_items().transact_items(TransactWriteItem::builder().put(put).build());
    let send = send.transact_items(TransactWriteItem::builder().condition_check(check).build());
    let send = send.transact_items(TransactWriteItem::builder().update(update).build());
    let error = send.send().await.unwrap_err();
    let SdkError::ServiceError(error) = error else { panic!("{error:?}") };
    let TransactWriteItemsError::TransactionCanceledException(error) = error.into_err() else { panic!() };
    let reasons = error.cancellation_reasons.unwrap();
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed", "ConditionalCheckFailed"]);
    assert_eq!(reasons[1].item(), Some(&stored));
    assert!(reasons[2].item().is_none_or(HashMap::is_empty));
    assert_eq!(get_item(&client, "b", "1").await, None);
}

#[tokio::test]
async fn a_refused_put_returns_what_was_there() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    let put = client.put_item().table_name(TABLE).set_item(Some(at("a", "1")));
    let put = put.condition_expression("attribute_not_exists(PK)");
    let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    put.clone().send().await.unwrap();
    let error = put.send().await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.item(), Some(&at("a", "1")));
}

#[tokio::test]
async fn a_retried_transaction_happens_once() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    for _ in 0..2 {
        let update = Update::builder().table_name(TABLE).set_key(Some(at("a", "1")));
        let update = update.update_expression("ADD x :x").expression_attribute_values(":x", n(1)).build().unwrap();
        let send = client.transact_write_items().client_request_token("token");
        send.transact_items(TransactWriteItem::builder().update(update).build()).send().await.unwrap();
    }
    assert_eq!(get_item(&client, "a", "1").await.unwrap()["x"], n(1));
}

#[tokio::test]
async fn batches_read_consistently() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    for round in 0..50 {
        let mut new = at("a", "1");
        new.insert("round".to_owned(), n(round));
        put_item(&client, new.clone()).await;
        let keys = KeysAndAttributes::builder().keys(at("a", "1")).keys(at("missing", "1"));
        let keys = keys.consistent_read(true).build().unwrap();
        let answer = client.batch_get_item().request_items(TABLE, keys).send().await.unwrap();
        assert_eq!(answer.responses().unwrap()[TABLE], [new]);
        assert!(answer.unprocessed_keys().is_none_or(HashMap::is_empty));
    }
}

#[tokio::test]
async fn string_sets_grow_and_shrink() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    let update = async |expression: &str, names: &[&str]| {
        let set = AttributeValue::Ss(names.iter().map(|name| (*name).to_owned()).collect());
        let update = client.update_item().table_name(TABLE).set_key(Some(at("a", "1")));
        let update = update.update_expression(expression).expression_attribute_values(":s", set);
        let answer = update.return_values(ReturnValue::AllNew).send().await.unwrap();
        let new = answer.attributes.unwrap().remove("tags")?;
        Some(new.as_ss().unwrap().iter().cloned().collect::<BTreeSet<_>>())
    };
    let set = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(update("ADD tags :s", &["a", "b"]).await, set(&["a", "b"]));
    assert_eq!(update("ADD tags :s", &["b", "c"]).await, set(&["a", "b", "c"]));
    assert_eq!(update("DELETE tags :s", &["a", "x"]).await, set(&["b", "c"]));
    let check = client.update_item().table_name(TABLE).set_key(Some(at("a", "1")));
    let check = check.update_expression("SET x = :x").condition_expression("contains(tags, :t)");
    let check = check.expression_attribute_values(":x", n(1)).expression_attribute_values(":t", s("a"));
    assert_eq!(code!(check.send().await), "ConditionalCheckFailedException");
    // An empty set does not exist.
    assert_eq!(update("DELETE tags :s", &["b", "c"]).await, None);
}

#[tokio::test]
async fn queries_page_through_a_prefix() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    for number in 0..25 {
        put_item(&client, at("a", &format!("TAG#{number:02}"))).await;
    }
    put_item(&client, at("a", "TAH#")).await;
    put_item(&client, at("b", "TAG#99")).await;
    for forward in [true, false] {
        let (mut found, mut start, mut pages) = (Vec::new(), None, 0);
        loop {
            let query = client.query().table_name(TABLE).limit(10).consistent_read(true).scan_index_forward(forward);
            let query = query.key_condition_expression("PK = :p AND begins_with(SK, :s)");
            let query = query.expression_attribute_values(":p", s("a")).expression_attribute_values(":s", s("TAG#"));
            let page = query.set_exclusive_start_key(start).send().await.unwrap();
            found.extend(page.items.unwrap().into_iter().map(|item| item["SK"].as_s().unwrap().clone()));
            pages += 1;
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let mut expected: Vec<_> = (0..25).map(|number| format!("TAG#{number:02}")).collect();
        if !forward {
            expected.reverse();
        }
        assert_eq!((found, pages), (expected, 3));
    }
    // A start key that is not there: the marker of a list that was edited since.
    let query = client.query().table_name(TABLE).limit(1).key_condition_expression("PK = :p");
    let query = query.expression_attribute_values(":p", s("a")).set_exclusive_start_key(Some(at("a", "TAG#03x")));
    let page = query.send().await.unwrap();
    assert_eq!(page.items()[0]["SK"], s("TAG#04"));
}

#[tokio::test]
async fn numbers_compare_as_numbers() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    let mut stored = at("a", "1");
    stored.insert("version".to_owned(), n(9));
    put_item(&client, stored).await;
    let update = async |condition: &str, value: i64| {
        let update = client.update_item().table_name(TABLE).set_key(Some(at("a", "1")));
        let update = update.update_expression("SET version = version + :one").condition_expression(condition);
        let update = update.expression_attribute_values(":one", n(1)).expression_attribute_values(":v", n(value));
        update.send().await.is_ok()
    };
    assert!(update("version < :v", 10).await, "9 < 10, not '9' > '10'");
    assert!(!update("version < :v", 10).await);
    assert!(update("version = :v", 10).await);
    assert!(update("version BETWEEN :one AND :v", 100).await);
    assert_eq!(get_item(&client, "a", "1").await.unwrap()["version"], n(12));
}

#[tokio::test]
async fn errors_have_clean_messages() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    let get = client.get_item().table_name("nothing").set_key(Some(at("a", "1")));
    assert_eq!(code!(get.send().await), "ResourceNotFoundException");
    let get = client.get_item().table_name(TABLE).key("PK", s("a")).send().await.unwrap_err().into_service_error();
    assert_eq!(get.meta().code(), Some("ValidationException"));
    let bad =
        client.batch_get_item().request_items("x", KeysAndAttributes::builder().keys(at("a", "1")).build().unwrap());
    let message = bad.send().await.unwrap_err().into_service_error().meta().message().unwrap().to_owned();
    assert!(!message.contains("VALIDATION:") && !message.contains(" at line "), "{message}");
    assert_eq!(code!(client.list_backups().send().await), "UnsupportedOperation");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_follows_every_change() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    let tasks = (0..16).map(|task| {
        let client = client.clone();
        tokio::spawn(async move {
            for round in 0..20 {
                let mut new = at(&format!("task{task}"), "1");
                new.insert("round".to_owned(), n(round));
                put_item(&client, new.clone()).await;
                assert_eq!(get_item(&client, &format!("task{task}"), "1").await, Some(new));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    // A table of the same name is another table.
    client.delete_table().table_name(TABLE).send().await.unwrap();
    let get = client.get_item().table_name(TABLE).set_key(Some(at("task1", "1")));
    assert_eq!(code!(get.send().await), "ResourceNotFoundException");
    table(&fixture).await;
    assert_eq!(get_item(&client, "task1", "1").await, None);
    let fixture = fixture.reopen();
    put_item(&fixture.dynamodb(), at("a", "1")).await;
}

/// `DynamoDB` writes no record of the third; a function that reads the stream must
/// not mind one.
#[tokio::test]
async fn a_put_that_changes_nothing_is_in_the_stream_all_the_same() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    for sk in ["1", "2", "2"] {
        put_item(&client, at("a", sk)).await;
    }
    assert_eq!(fixture.services.tables.trim_streams_before(9_999_999_999).unwrap(), 3);
}

#[tokio::test]
async fn maintenance_expires_items_and_trims_streams() {
    let fixture = Fixture::new();
    let client = table(&fixture).await;
    let ttl = TimeToLiveSpecification::builder().attribute_name("expires").enabled(true).build().unwrap();
    client.update_time_to_live().table_name(TABLE).time_to_live_specification(ttl).send().await.unwrap();
    let now = crate::embedded::clock::now();
    for (sk, expires) in [("old", now - 60), ("new", now + 60)] {
        let mut new = at("a", sk);
        new.insert("expires".to_owned(), n(expires));
        put_item(&client, new).await;
    }
    fixture.services.tables.expire_items();
    assert_eq!(get_item(&client, "a", "old").await, None);
    assert!(get_item(&client, "a", "new").await.is_some());

    for number in 0..1200 {
        put_item(&client, at("b", &number.to_string())).await;
    }
    let tables = &fixture.services.tables;
    assert_eq!(tables.trim_streams_before(1_000_000_000).unwrap(), 0);
    let trimmed = tables.trim_streams_before(9_999_999_999).unwrap();
    assert_eq!(trimmed, 1203, "2 puts, 1 expiry and 1200 puts");
    put_item(&client, at("c", "1")).await;
}
