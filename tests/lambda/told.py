"""Whether a push and a deletion are told on the bus: the stream of the deployed table
leads to the deployed events function, which the services themselves run, and its events
to a rule of somebody who wants to know.
"""

import json
import time
from typing import Any

import deploy

REPOSITORY = "told/app"
SECONDS = 60


class Listener:
    """A queue that gets the events of one repository."""

    def __init__(self, stack: deploy.Stack):
        self.queues = stack.client("sqs")
        events = stack.client("events")
        self.url = self.queues.create_queue(QueueName="told")["QueueUrl"]
        attributes = self.queues.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]
        bus = stack.resources["EventBus"]
        pattern = {"detail-type": ["ECR Image Action"], "detail": {"repository-name": [REPOSITORY]}}
        events.put_rule(Name="told", EventBusName=bus, EventPattern=json.dumps(pattern))
        targets = [{"Id": "queue", "Arn": attributes["QueueArn"]}]
        events.put_targets(Rule="told", EventBusName=bus, Targets=targets)

    def check(self, ecr: Any) -> list[str]:
        """Pushes an image, tags it, deletes it; what was told wrongly, or not."""
        ecr.create_repository(repositoryName=REPOSITORY)
        media_type = "application/vnd.oci.image.index.v1+json"
        manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": []})
        put = ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag="one")
        digest = put["image"]["imageId"]["imageDigest"]
        ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag="two")
        ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageDigest": digest}])
        wanted = [("PUSH", "one"), ("PUSH", "two"), ("DELETE", "one"), ("DELETE", "two")]
        told: list[tuple[str, str]] = []
        deadline = time.monotonic() + SECONDS
        while len(told) < len(wanted) and time.monotonic() < deadline:
            answer = self.queues.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
            for message in answer.get("Messages", []):
                event = json.loads(message["Body"])
                if event["source"] != "ironwharf.ecr" or event["detail"]["image-digest"] != digest:
                    return [f"what was told is not so: {event}"]
                told.append((event["detail"]["action-type"], event["detail"]["image-tag"]))
                self.queues.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        if sorted(told) != sorted(wanted):
            return [f"told was {told}, not {wanted}"]
        print(f"events: {len(told)} by the stream, the deployed function and the bus")
        return []
