//! What a request to DynamoDB asks for, as IAM sees it.
//!
//! | operation | action, for each table |
//! |---|---|
//! | `GetItem`, `PutItem`, `UpdateItem`, `DeleteItem`, `Query`, `Scan`, `BatchGetItem`, `BatchWriteItem` | its own name |
//! | `TransactGetItems` | `dynamodb:GetItem` |
//! | `TransactWriteItems` | `dynamodb:PutItem`, `UpdateItem`, `DeleteItem`, `ConditionCheckItem`, as its items are |
//! | any other | its own name |
//!
//! (Service Authorization Reference: Amazon DynamoDB; Developer Guide:
//! Specifying conditions, and Transactions: IAM permissions.)
//!
//! Invariant: the leading keys are all partition keys of the request, or none
//! at all if one of them cannot be read: then no condition on them holds.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

use crate::embedded::roles::{Access, Roles};

/// What a request of `operation` does.
pub(super) fn accesses(roles: &Roles, operation: &str, body: &[u8]) -> Vec<Access> {
    let read = match operation {
        "GetItem" | "UpdateItem" | "DeleteItem" => read(body, |one: OneKey| vec![one.key.of(operation, one.table)]),
        "PutItem" => read(body, |put: OnePut| vec![put.item.of(operation, put.table)]),
        "BatchGetItem" => read(body, |batch: BatchGet| {
            let tables = batch.tables.into_iter();
            tables
                .flat_map(|(table, keys)| keys.keys.into_iter().map(move |key| key.of(operation, table.clone())))
                .collect()
        }),
        "BatchWriteItem" => read(body, |batch: BatchWrite| {
            let tables = batch.tables.into_iter();
            let writes = tables.flat_map(|(table, writes)| writes.into_iter().map(move |write| (table.clone(), write)));
            let items = writes.flat_map(|(table, write)| write.items().map(move |item| (table.clone(), item)));
            items.map(|(table, item)| item.of(operation, table)).collect()
        }),
        "TransactGetItems" => read(body, |transaction: TransactGet| {
            let gets = transaction.items.into_iter().filter_map(|item| item.get);
            gets.map(|get| get.key.of("GetItem", get.table)).collect()
        }),
        "TransactWriteItems" => read(body, |transaction: TransactWrite| {
            transaction.items.into_iter().flat_map(TransactWriteItem::items).collect()
        }),
        "Query" => return vec![query(roles, body)],
        _ => None,
    };
    match read {
        Some(items) if !items.is_empty() => grouped(roles, items),
        _ => {
            let table = read_table(body).map_or_else(|| "*".to_owned(), |name| roles.table_arn(&name));
            vec![access(operation, &table, None)]
        }
    }
}

fn access(operation: &str, resource: &str, leading_keys: Option<Vec<String>>) -> Access {
    Access { leading_keys, ..Access::new(&format!("dynamodb:{operation}"), resource) }
}

/// One item that is read or written.
struct Touched<'a> {
    operation: &'a str,
    table: String,
    partition: String,
}

fn grouped(roles: &Roles, items: Vec<Touched<'_>>) -> Vec<Access> {
    let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for Touched { operation, table, partition } in items {
        groups.entry((operation, table)).or_default().push(partition);
    }
    let groups = groups.into_iter();
    groups.map(|((operation, table), keys)| access(operation, &roles.table_arn(&table), Some(keys))).collect()
}

fn read<'a, T: Deserialize<'a>, R>(body: &'a [u8], items: impl FnOnce(T) -> R) -> Option<R> {
    serde_json::from_slice(body).ok().map(items)
}

fn read_table(body: &[u8]) -> Option<String> {
    read(body, |named: Named| named.table)
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "TableName")]
    table: String,
}

/// The partition key of an item or a key; everything else is skipped. One that
/// stands twice, or has more than one type, cannot be read.
#[derive(Deserialize)]
struct Partition {
    pk: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

impl Partition {
    fn of(self, operation: &str, table: String) -> Touched<'_> {
        Touched { operation, table, partition: self.pk.text }
    }
}

#[derive(Deserialize)]
struct OneKey {
    #[serde(rename = "TableName")]
    table: String,
    #[serde(rename = "Key")]
    key: Partition,
}

#[derive(Deserialize)]
struct OnePut {
    #[serde(rename = "TableName")]
    table: String,
    #[serde(rename = "Item")]
    item: Partition,
}

#[derive(Deserialize)]
struct BatchGet {
    #[serde(rename = "RequestItems")]
    tables: HashMap<String, Keys>,
}

#[derive(Deserialize)]
struct Keys {
    #[serde(rename = "Keys")]
    keys: Vec<Partition>,
}

#[derive(Deserialize)]
struct BatchWrite {
    #[serde(rename = "RequestItems")]
    tables: HashMap<String, Vec<WriteRequest>>,
}

#[derive(Deserialize)]
struct WriteRequest {
    #[serde(rename = "PutRequest")]
    put: Option<PutRequest>,
    #[serde(rename = "DeleteRequest")]
    delete: Option<DeleteRequest>,
}

#[derive(Deserialize)]
struct PutRequest {
    #[serde(rename = "Item")]
    item: Partition,
}

#[derive(Deserialize)]
struct DeleteRequest {
    #[serde(rename = "Key")]
    key: Partition,
}

impl WriteRequest {
    fn items(self) -> impl Iterator<Item = Partition> {
        self.put.map(|put| put.item).into_iter().chain(self.delete.map(|delete| delete.key))
    }
}

#[derive(Deserialize)]
struct TransactGet {
    #[serde(rename = "TransactItems")]
    items: Vec<TransactGetItem>,
}

#[derive(Deserialize)]
struct TransactGetItem {
    #[serde(rename = "Get")]
    get: Option<OneKey>,
}

#[derive(Deserialize)]
struct TransactWrite {
    #[serde(rename = "TransactItems")]
    items: Vec<TransactWriteItem>,
}

#[derive(Deserialize)]
struct TransactWriteItem {
    #[serde(rename = "Put")]
    put: Option<OnePut>,
    #[serde(rename = "Update")]
    update: Option<OneKey>,
    #[serde(rename = "Delete")]
    delete: Option<OneKey>,
    #[serde(rename = "ConditionCheck")]
    condition_check: Option<OneKey>,
}

impl TransactWriteItem {
    fn items(self) -> impl Iterator<Item = Touched<'static>> {
        let put = self.put.map(|put| put.item.of("PutItem", put.table));
        let keyed =
            [("UpdateItem", self.update), ("DeleteItem", self.delete), ("ConditionCheckItem", self.condition_check)];
        let keyed = keyed.into_iter().filter_map(|(operation, one)| Some((operation, one?)));
        put.into_iter().chain(keyed.map(|(operation, one)| one.key.of(operation, one.table)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    table_name: String,
    index_name: Option<String>,
    key_condition_expression: Option<String>,
    #[serde(default)]
    expression_attribute_names: HashMap<String, String>,
    #[serde(default)]
    expression_attribute_values: HashMap<String, Value>,
    exclusive_start_key: Option<Partition>,
}

fn query(roles: &Roles, body: &[u8]) -> Access {
    let Ok(query) = serde_json::from_slice::<Query>(body) else { return access("Query", "*", None) };
    let table = roles.table_arn(&query.table_name);
    match &query.index_name {
        // The leading key of an index is another attribute.
        Some(index) => access("Query", &format!("{table}/index/{index}"), None),
        None => access("Query", &table, query.partitions()),
    }
}

impl Query {
    /// The partition that is asked for, and the one it goes on in.
    fn partitions(self) -> Option<Vec<String>> {
        let asked = self.partition_of_condition()?;
        Some(std::iter::once(asked).chain(self.exclusive_start_key.map(|key| key.pk.text)).collect())
    }

    /// The value in `pk = :value`. The partition key must be named once: an
    /// expression that could be read in two ways is not read at all.
    fn partition_of_condition(&self) -> Option<String> {
        let tokens = tokens(self.key_condition_expression.as_deref()?);
        let is_partition = |token: &str| {
            token == "pk" || self.expression_attribute_names.get(token).is_some_and(|attribute| attribute == "pk")
        };
        let mut named = tokens.iter().enumerate().filter(|(_, token)| is_partition(token)).map(|(index, _)| index);
        let (index, None) = (named.next()?, named.next()) else { return None };
        let at = |index: usize| tokens.get(index).copied().unwrap_or_default();
        let value = if at(index + 1) == "=" {
            at(index + 2)
        } else if index >= 2 && at(index - 1) == "=" {
            at(index - 2)
        } else {
            return None;
        };
        let value = self.expression_attribute_values.get(value)?;
        Text::deserialize(value).ok().map(|text| text.text)
    }
}

/// Words, comparison operators, and everything else one by one.
fn tokens(expression: &str) -> Vec<&str> {
    let kind = |character: char| match character {
        '=' | '<' | '>' => 1,
        ':' | '#' | '_' | '-' | '.' => 2,
        character if character.is_alphanumeric() => 2,
        character if character.is_whitespace() => 3,
        _ => 4,
    };
    let mut tokens = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let end = match kind(first) {
            4 => first.len_utf8(),
            same => rest.find(|character| kind(character) != same).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(end);
        if kind(first) != 3 {
            tokens.push(token);
        }
        rest = behind;
    }
    tokens
}
