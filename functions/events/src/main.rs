//! The events function: tells others of images, by the stream of the table.

use ironwharf_function::Events;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::lambda_runtime::run(Events::start().await?).await
}
