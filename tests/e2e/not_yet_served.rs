//! What of the ECR API is not there yet. The list may only become shorter.

use ironwharf_registry::ops::SERVED;
use ironwharf_tests::Registry;
use ironwharf_wire::ecr::OperationName;
use serde_json::json;

const NOT_YET_SERVED: &[&str] = &[
    "BatchGetRepositoryScanningConfiguration",
    "CreatePullThroughCacheRule",
    "DeletePullThroughCacheRule",
    "DeleteSigningConfiguration",
    "DescribeImageReplicationStatus",
    "DescribeImageScanFindings",
    "DescribeImageSigningStatus",
    "DescribePullThroughCacheRules",
    "DescribeReplicationBackfillResults",
    "GetRegistryScanningConfiguration",
    "GetSigningConfiguration",
    "ListReplicationBackfills",
    "PutRegistryScanningConfiguration",
    "PutReplicationConfiguration",
    "PutSigningConfiguration",
    "StartImageScan",
    "StartReplicationBackfill",
    "StopReplicationBackfill",
    "UpdatePullThroughCacheRule",
    "ValidatePullThroughCacheRule",
];

#[tokio::test]
async fn operations_without_behaviour_say_so() {
    let mut missing: Vec<&str> =
        OperationName::ALL.iter().filter(|name| !SERVED.contains(name)).map(|name| name.as_str()).collect();
    missing.sort_unstable();
    assert_eq!(missing, NOT_YET_SERVED);

    let registry = Registry::start().await;
    let client = registry.client();
    for operation in missing {
        let reply = client.api(operation, json!({})).await;
        let message = format!("{operation} is an operation of the ECR API that this registry does not serve yet");
        let expected = json!({ "__type": "UnknownOperationException", "message": message });
        assert_eq!(reply.expect_status(501).json(), expected);
    }
    let reply = client.api("MakeCoffee", json!({})).await;
    let target = "AmazonEC2ContainerRegistry_V20150921.MakeCoffee";
    let message = format!("The operation '{target}' is not an operation of this API");
    reply.expect_aws_error("UnknownOperationException", &message);
    registry.stop().await;
}
