//! The streaming ingress: `PATCH` and `PUT` on `/v2/`, blobs in one `POST`, and
//! parts of layers by the API. No Lambda function, but a container.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    ironwharf_function::ingress::run().await
}
