//! Strict JSON never accepts what serde_json refuses and reads the same value;
//! an input that passes the checks of its operation always has its type.
#![no_main]

use ironwharf_model::strict_json;
use ironwharf_wire::ecr::{DecodeError, OperationName, decode, shapes};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    // The first line names the operation; any other line stands for one of them.
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (name, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let by_name = str::from_utf8(name).ok().and_then(OperationName::parse);
    let operation = by_name.unwrap_or_else(|| {
        let sum: usize = name.iter().map(|byte| usize::from(*byte)).sum();
        OperationName::ALL[sum % OperationName::ALL.len()]
    });
    if let Ok(value) = strict_json::parse(body) {
        let lenient: Value = serde_json::from_slice(body).expect("strict JSON is JSON");
        assert_eq!(value, lenient);
    }
    let checked = decode::<Value>(operation, body);
    match operation {
        OperationName::CreateRepository => typed::<shapes::CreateRepositoryRequest>(operation, body, &checked),
        OperationName::DescribeRepositories => typed::<shapes::DescribeRepositoriesRequest>(operation, body, &checked),
        OperationName::BatchGetImage => typed::<shapes::BatchGetImageRequest>(operation, body, &checked),
        OperationName::BatchDeleteImage => typed::<shapes::BatchDeleteImageRequest>(operation, body, &checked),
        OperationName::PutImage => typed::<shapes::PutImageRequest>(operation, body, &checked),
        OperationName::ListImages => typed::<shapes::ListImagesRequest>(operation, body, &checked),
        OperationName::DescribeImages => typed::<shapes::DescribeImagesRequest>(operation, body, &checked),
        OperationName::UploadLayerPart => typed::<shapes::UploadLayerPartRequest>(operation, body, &checked),
        OperationName::CompleteLayerUpload => typed::<shapes::CompleteLayerUploadRequest>(operation, body, &checked),
        OperationName::PutReplicationConfiguration => {
            typed::<shapes::PutReplicationConfigurationRequest>(operation, body, &checked);
        }
        _ => {}
    }
});

fn typed<T: DeserializeOwned>(operation: OperationName, body: &[u8], checked: &Result<Value, DecodeError>) {
    let as_type = decode::<T>(operation, body).map(|_| ());
    let as_value = checked.as_ref().map(|_| ()).map_err(DecodeError::clone);
    assert_eq!(as_type, as_value, "{operation}");
}
