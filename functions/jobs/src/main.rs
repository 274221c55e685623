//! The jobs function: work that is due, and the times of pulls.

use ironwharf_function::Jobs;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::lambda_runtime::run(Jobs::start().await?).await
}
