//! `ironwharf audit`: the audit trail of an account, for whoever operates the
//! registry.

use clap::Args;
use ironwharf_model::AccountId;
use serde_json::{Map, Value, json};

use crate::api_client::{self, OPERATOR};
use crate::cli::{DataDir, Sentence, account, region};
use crate::credentials;

const EXAMPLES: &str = "\
One JSON event a line, the newest first, in the shape of CloudTrail's records.
An account's own people read theirs with `aws cloudtrail lookup-events`.

Examples:
  ironwharf audit                                the last day of the operator's account
  ironwharf audit --account 111111111111 --hours 2
  ironwharf audit --event PutImage | jq .userIdentity.arn";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    data_dir: DataDir,
    /// Whose events
    #[arg(long, default_value = "000000000000", env = "IRONWHARF_ACCOUNT", value_parser = account)]
    account: AccountId,
    /// How many hours back
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Only events of this name, such as `PutImage`
    #[arg(long)]
    event: Option<String>,
    /// The Region whose events [default: the server's]; IAM's are in us-east-1
    #[arg(long, value_parser = region)]
    region: Option<ironwharf_model::Region>,
    /// At most this many events
    #[arg(long, default_value_t = 1_000)]
    max: usize,
}

impl AuditArgs {
    /// Asks the running server, and says what to print.
    pub(crate) async fn run(self) -> Result<String, Sentence> {
        let data_dir = self.data_dir.resolve()?;
        let mut server = credentials::read_endpoint(&data_dir);
        if let Some(region) = &self.region {
            server.region = region.to_string();
        }
        let root = credentials::load(&data_dir)?;
        let start = time::OffsetDateTime::now_utc() - time::Duration::hours(i64::from(self.hours));
        let mut input = Map::new();
        input.insert("accountId".to_owned(), json!(self.account));
        input.insert("StartTime".to_owned(), json!(start.unix_timestamp()));
        if let Some(event) = &self.event {
            let attribute = json!({ "AttributeKey": "EventName", "AttributeValue": event });
            input.insert("LookupAttributes".to_owned(), json!([attribute]));
        }
        let (mut text, mut count) = (String::new(), 0);
        loop {
            let input_now = Value::Object(input.clone());
            let page = api_client::call(&root, &server, OPERATOR, "LookupEvents", &input_now).await?;
            for event in page.get("Events").and_then(Value::as_array).into_iter().flatten() {
                if count == self.max {
                    return Ok(text);
                }
                text.push_str(event.get("CloudTrailEvent").and_then(Value::as_str).unwrap_or_default());
                text.push('\n');
                count += 1;
            }
            match page.get("NextToken") {
                Some(token) => input.insert("NextToken".to_owned(), token.clone()),
                None => return Ok(text),
            };
        }
    }
}
