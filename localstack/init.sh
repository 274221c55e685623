#!/bin/sh
# Runs inside the container when LocalStack is ready: a sentence for each
# service the registry needs, so that a broken one is seen here and not later.
set -eu
awslocal dynamodb list-tables >/dev/null && echo "DynamoDB answers"
awslocal s3api list-buckets >/dev/null && echo "S3 answers"
awslocal kms list-keys >/dev/null && echo "KMS answers"
