//! The table in `ARCHITECTURE.md`.

use std::fmt::Write as _;
use std::fs;

use crate::calls::Calls;

const BEGIN: &str = "<!-- calls:begin -->";
const END: &str = "<!-- calls:end -->";

/// Where the table is.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");

/// The most an operation may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) dynamodb: u64,
    /// Calls to S3 that write. Those that read are never in a budget.
    pub(crate) s3_writes: u64,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) operation: String,
    pub(crate) calls: Calls,
    pub(crate) budget: Option<Budget>,
}

impl Row {
    /// What is over the budget, in words.
    pub(crate) fn excess(&self) -> Option<String> {
        let Budget { dynamodb, s3_writes } = self.budget?;
        let Self { operation, calls, .. } = self;
        let s3_reads = calls.of("S3") - calls.s3_writes();
        let is_within = calls.of("DynamoDB") <= dynamodb && calls.s3_writes() <= s3_writes && s3_reads == 0;
        (!is_within).then(|| {
            let (used, objects) = (calls.in_words("DynamoDB"), calls.in_words("S3"));
            format!("{operation}: DynamoDB {used} (budget {dynamodb}), S3 {objects} (budget {s3_writes})")
        })
    }
}

/// The table as Markdown, between its markers.
fn block(rows: &[Row]) -> String {
    let mut text = format!("{BEGIN}\n| operation | DynamoDB | S3 | budget |\n|---|---|---|---|\n");
    for Row { operation, calls, budget } in rows {
        let budget =
            budget.map_or_else(String::new, |Budget { dynamodb, s3_writes }| format!("{dynamodb} + {s3_writes}"));
        let (dynamodb, s3) = (calls.in_words("DynamoDB"), calls.in_words("S3"));
        writeln!(text, "| {operation} | {dynamodb} | {s3} | {budget} |").expect("a String takes everything");
    }
    text + END
}

/// Compares the table with the one in the file, or writes it there.
pub(crate) fn expect_in_file(rows: &[Row]) {
    let actual = block(rows);
    println!("{actual}");
    let text = fs::read_to_string(FILE).expect("ARCHITECTURE.md can be read");
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("ARCHITECTURE.md has no {BEGIN}"));
    let (stored, after) = rest.split_once(END).unwrap_or_else(|| panic!("ARCHITECTURE.md has no {END}"));
    if std::env::var_os("UPDATE_CALLS").is_some() {
        fs::write(FILE, format!("{before}{actual}{after}")).expect("ARCHITECTURE.md can be written");
        return;
    }
    let stored = format!("{BEGIN}{stored}{END}");
    assert_eq!(stored, actual, "the calls changed: see whether that is meant, then run with UPDATE_CALLS=1");
}
