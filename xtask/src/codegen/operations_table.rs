//! `tests/OPERATIONS.md`: every operation, whether it is served, the action that
//! allows it, and the tests that name it.
//!
//! What is served is read from the lists that dispatch the calls. A test names
//! an operation as it is called: `"CreateRepository"` on the wire, a method
//! `create_repository`, `create-repository` in the AWS CLI. Tests that
//! go through all operations do not count: they would cover everything.
//!
//! The README has the part that is about ECR.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::model::Model;
use super::names::words;

/// Where the table is.
pub(super) const FILE: &str = "tests/OPERATIONS.md";

/// Where tests of operations are.
const TESTS: [&str; 4] = ["tests/e2e", "tests/interop", "tests/durability", "tests/budgets"];

/// Tests that go through all operations.
const THROUGH_ALL: [&str; 3] =
    ["tests/e2e/every_door.rs", "tests/e2e/not_yet_served.rs", "tests/interop/test_model.py"];

/// How many tests are shown for an operation: those that name it most often.
const SHOWN: usize = 2;

/// Operations whose action is not their name.
const OTHER_ACTIONS: [(&str, &str); 3] = [
    ("ListImageReferrers", "`ecr:BatchGetImage`"),
    ("GetCallerIdentity", "none"),
    ("AssumeRoleWithWebIdentity", "none; the role's trust policy"),
];

/// A service, and where its list of served operations is.
struct Service {
    title: &'static str,
    prefix: &'static str,
    list: &'static str,
    /// What the list begins with; it ends at a bracket at the start of a line.
    begin: &'static str,
}

const ECR: Service =
    Service { title: "ECR", prefix: "ecr", list: "crates/registry/src/ops/mod.rs", begin: "\noperations! {" };

const OTHERS: [Service; 3] = [
    Service { title: "IAM", prefix: "iam", list: "crates/registry/src/identity/ops/mod.rs", begin: "\noperations! {" },
    Service {
        title: "STS",
        prefix: "sts",
        list: "crates/registry/src/identity/sts/mod.rs",
        begin: "\npub const SERVED: &[OperationName] = &[",
    },
    Service {
        title: "The operator's API",
        prefix: "ironwharf",
        list: "crates/registry/src/operator.rs",
        begin: "\npub const SERVED: &[&str] = &[",
    },
];

/// Where the README has its part.
pub(super) const README: &str = "README.md";
const BEGIN: &str = "<!-- operations:begin -->\n";
const END: &str = "<!-- operations:end -->";

/// The README with the table of ECR's operations.
pub(super) fn readme(root: &Path, ecr: &Model) -> Result<String, String> {
    let tests = tests(root)?;
    let served = ECR.served(root)?;
    let mut rows = String::new();
    for (name, _) in ecr.operations() {
        let is_served = served.contains(name);
        let tests = if is_served { links(&tests, name).replace("](", "](tests/") } else { String::new() };
        put(&mut rows, format_args!("| {name} | {} | {tests} |\n", if is_served { "yes" } else { "not yet" }));
    }
    let text = read(&root.join(README))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| format!("{README} has no place for the operations any more"))?;
    let (served, total) = (served.len(), ecr.operations().len());
    Ok(format!(
        "{before}{BEGIN}<details>\n<summary>The operations of ECR: {served} of {total} are served</summary>\n\n\
         | operation | served | tests |\n|---|---|---|\n{rows}\n</details>\n{END}{after}"
    ))
}

/// The text of the table, and the served operations that no test names.
pub(super) fn table(root: &Path, ecr: &Model) -> Result<(String, Vec<String>), String> {
    let tests = tests(root)?;
    let mut untested = Vec::new();
    let served = ECR.served(root)?;
    let mut rows = String::new();
    let mut count = 0;
    for (name, _) in ecr.operations() {
        let is_served = served.contains(name);
        let links = if is_served { links(&tests, name) } else { String::new() };
        count += usize::from(is_served);
        row(&mut rows, &ECR, name, is_served, &links);
        if is_served && links.is_empty() {
            untested.push(format!("ecr:{name}"));
        }
    }
    let total = ecr.operations().len();
    let mut text = format!(
        "# Operations\n\n\
         Written by `cargo xtask codegen` from the service model, from the lists of operations that are served, and from\n\
         the tests that name them. `tests/interop/test_model.py` goes through every constraint of every operation of ECR\n\
         besides, and `tests/e2e/every_door.rs` through who may call each operation of all services.\n\n\
         ## {}: {count} of {total}\n\n{HEAD}{rows}",
        ECR.title
    );
    for service in &OTHERS {
        let served = service.served(root)?;
        let mut rows = String::new();
        for name in &served {
            let links = links(&tests, name);
            row(&mut rows, service, name, true, &links);
            if links.is_empty() {
                untested.push(format!("{}:{name}", service.prefix));
            }
        }
        put(&mut text, format_args!("\n## {}: {}\n\n{HEAD}{rows}", service.title, served.len()));
    }
    Ok((text, untested))
}

const HEAD: &str = "| operation | served | action | tests |\n|---|---|---|---|\n";

fn row(rows: &mut String, service: &Service, name: &str, is_served: bool, links: &str) {
    let other = OTHER_ACTIONS.iter().find(|(operation, _)| *operation == name);
    let action = other.map_or_else(|| format!("`{}:{name}`", service.prefix), |(_, action)| (*action).to_owned());
    let served = if is_served { "yes" } else { "not yet" };
    put(rows, format_args!("| {name} | {served} | {action} | {links} |\n"));
}

/// Writing to a String cannot fail.
fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

impl Service {
    /// The operations that are served, in the order of their list.
    fn served(&self, root: &Path) -> Result<Vec<String>, String> {
        let text = read(&root.join(self.list))?;
        let after = text.split_once(self.begin).map(|(_, after)| after);
        let list = after.and_then(|after| after.split_once("\n}").or_else(|| after.split_once("\n]")));
        let list = list.map(|(list, _)| list.split_once("\n]").map_or(list, |(list, _)| list));
        let list = list.ok_or_else(|| format!("{} has no list of served operations any more", self.list))?;
        let names: Vec<String> = list
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .map(|line| line.trim_end_matches(',').rsplit("::").next().unwrap_or(line).trim_matches('"').to_owned())
            .collect();
        let strange = names.iter().find(|name| !name.chars().all(|character| character.is_ascii_alphanumeric()));
        match strange {
            Some(line) => Err(format!("{}: {line} is not the name of an operation", self.list)),
            None if names.is_empty() => Err(format!("{} lists no operation", self.list)),
            None => Ok(names),
        }
    }
}

/// The tests, by path below `tests`.
fn tests(root: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut tests = BTreeMap::new();
    for folder in TESTS {
        let entries = std::fs::read_dir(root.join(folder)).map_err(|error| format!("cannot read {folder}: {error}"))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("cannot read {folder}: {error}"))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let is_source = path.extension().is_some_and(|extension| extension == "rs" || extension == "py");
            let relative = format!("{folder}/{name}");
            if is_source && !THROUGH_ALL.contains(&relative.as_str()) {
                tests.insert(relative.trim_start_matches("tests/").to_owned(), read(&path)?);
            }
        }
    }
    Ok(tests)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Links to the tests that name an operation most often.
fn links(tests: &BTreeMap<String, String>, operation: &str) -> String {
    let words: Vec<String> = words(operation).iter().map(|word| word.to_ascii_lowercase()).collect();
    let quoted = format!("\"{operation}\"");
    let (snake, kebab) = (words.join("_"), words.join("-"));
    let method = format!(".{snake}(");
    let count = |path: &str, text: &str| {
        let by_clients = match path.rsplit_once('.') {
            Some((_, "py")) => whole_words(text, &snake) + whole_words(text, &kebab),
            _ => text.matches(&method).count(),
        };
        text.matches(&quoted).count() + by_clients
    };
    let mut naming: Vec<(usize, &str)> =
        tests.iter().map(|(path, text)| (count(path, text), path.as_str())).filter(|(count, _)| *count > 0).collect();
    naming.sort_by(|first, second| second.0.cmp(&first.0).then(first.1.cmp(second.1)));
    let links: Vec<String> = naming.iter().take(SHOWN).map(|(_, path)| format!("[{path}]({path})")).collect();
    links.join(", ")
}

/// How often a word stands in a text that is no part of a longer one.
fn whole_words(text: &str, word: &str) -> usize {
    let goes_on = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    let mut count = 0;
    let mut before = None;
    let mut rest = text;
    while let Some((ahead, behind)) = rest.split_once(word) {
        let left = ahead.chars().next_back().or(before);
        let right = behind.chars().next();
        if !left.is_some_and(goes_on) && !right.is_some_and(goes_on) {
            count += 1;
        }
        before = word.chars().next_back();
        rest = behind;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert_eq!(whole_words("get_role get_role_policy xget_role a.get_role()", "get_role"), 2);
        assert_eq!(whole_words("get-roleget-role", "get-role"), 0);
    }

    #[test]
    fn tests_name_operations_as_they_are_called() {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let tests = BTreeMap::from([
            file("e2e/a.rs", "client.api(\"ListImages\")"),
            file("e2e/b.rs", "fn list_images() {} \"ListImagesOfAll\""),
            file("interop/c.py", "ecr.list_images(); ecr.get_paginator(\"list_images\")"),
        ]);
        assert_eq!(links(&tests, "ListImages"), "[interop/c.py](interop/c.py), [e2e/a.rs](e2e/a.rs)");
        assert_eq!(links(&tests, "PutImage"), "");
    }
}
