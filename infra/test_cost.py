"""infra/cost, against sums done by hand and inputs that are not there."""

import contextlib
import copy
import importlib.machinery
import importlib.util
import io
import re
import tempfile
import tomllib
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
NAMES = ("ARCHITECTURE.md", "README.md", "infra/cost.toml")


def load():
    """The script, whose name is none of a module."""
    loader = importlib.machinery.SourceFileLoader("cost", str(HERE / "cost"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("cost", loader))
    loader.exec_module(module)
    return module


cost = load()

TABLE = """
<!-- calls:begin -->
| operation | DynamoDB | S3 | budget |
|---|---|---|---|
| look | 3: 2 BatchGetItem, 1 GetItem | 0 | 3 + 0 |
| store | 3: 1 BatchWriteItem, 2 TransactWriteItems | 1: 1 PutObject |  |
<!-- calls:end -->
"""

INPUTS = {
    "prices": {
        "dynamodb_million_writes": 1,
        "dynamodb_million_reads": 0.5,
        "s3_1000_puts": 0.01,
        "s3_1000_gets": 0.001,
        "lambda_million_requests": 0.2,
        "lambda_gb_second": 0.00001,
        "fargate_vcpu_hour": 0.04,
        "fargate_gb_hour": 0.004,
        "eventbridge_million_events": 1.5,
        "scheduler_million_runs": 2,
        "alarm_metric_month": 0.1,
        "dashboard_month": 3,
        "lcu_hour": 0.01,
        "balancer_hour": 0.02,
        "public_address_hour": 0.01,
        "kms_key_month": 1,
        "kms_10000_requests": 0.03,
        "secret_month": 0.4,
        "logs_gb": 0.5,
        "logs_gb_month": 0.03,
        "dynamodb_gb_month": 0.25,
        "dynamodb_recovery_gb_month": 0.25,
        "s3_gb_month": 0.02,
        "internet_gb": 0.09,
        "ecr_gb_month": 0.1,
        "ecr_internet_gb": 0.08,
        "region_gb": 0.001,
        "ecr_region_gb": 0.002,
        "ecr_month": 5,
    },
    "lcu": {"function_gb": 0.5, "ingress_gb": 1, "connections": 100_000},
    "fixed": {
        "hours": 100,
        "kms_keys": 2,
        "secrets": 1,
        "public_addresses": 2,
        "ingress_tasks": 2,
        "ingress_vcpus": 0.5,
        "ingress_gb": 1,
        "alarm_metrics": 5,
        "scaling_alarm_metrics": 4,
        "dashboards": 1,
    },
    "jobs": {"runs_per_hour": 60, "queries": 8, "query_units": 0.5},
    "lambda": {"memory_mb": 512, "milliseconds": {"pull": 10, "push": 40, "jobs": 50, "events": 20}},
    "requests": {"overhead_kb": 5, "log_kb": 2, "ingress_log_kb": 1, "event_units": 2, "kms_per_object": 0.01},
    "rows": {
        "look": {
            "function": "pull",
            "requests": 1,
            "ingress_requests": 0,
            "client_s3_gets": 1,
            "events": 0,
            "units": {"BatchGetItem": [2, 3], "GetItem": [1]},
        },
        "store": {
            "function": "push",
            "requests": 2,
            "ingress_requests": 3,
            "client_s3_gets": 0,
            "events": 1,
            "units": {"BatchWriteItem": [2], "TransactWriteItems": [3, 4]},
        },
    },
    "operations": {
        "pull": {
            "label": "pulls",
            "function": "pull",
            "requests_without_calls": 1,
            "connections": 2,
            "body_kb": 0,
            "event_runs": 0,
            "bus_events": 0,
            "rows": {"look": 3},
        },
        "push": {
            "label": "pushes",
            "function": "pull",
            "requests_without_calls": 0,
            "connections": 1,
            "body_kb": 90,
            "event_runs": 1,
            "bus_events": 2,
            "rows": {"store": 1},
        },
    },
    "months": {"push": "push", "table_kb_per_push": 20, "table_months": 3, "log_months": 1},
    "sizes": {
        "one": {"stored_gb": 10, "pulls": 2_000_000, "pushes": 1_000_000, "mb_per_pull": 1, "internet_share": 0.5}
    },
}


def inputs(**changes):
    return cost.Inputs(copy.deepcopy(INPUTS) | changes)


def per_million(operation):
    usage = cost.operation_usage(inputs(), cost.counted_calls(TABLE), operation)
    return cost.priced(inputs(), cost.times(usage, 1_000_000))


class ByHand(unittest.TestCase):
    def expect(self, amounts, expected):
        self.assertEqual(list(amounts), list(expected))
        for part, amount in expected.items():
            self.assertAlmostEqual(amounts[part], amount, msg=part)

    def test_pulls(self):
        self.expect(
            per_million("pull"),
            {
                # 3 looks of 2 + 3 + 1 units.
                "DynamoDB": 18 * 0.5,
                # 3 gets, of which every hundredth asks KMS.
                "S3 and KMS": 3 * 1 + 0.03 * 3,
                # 4 requests of 10 ms at half a GB.
                "Lambda": 4 * 0.2 + 4 * 5_000 * 0.00001,
                # 4 * 5 KB are 40 capacity hours, 2 connections only 20.
                "load balancer": 40 * 0.01,
                "logs": 8 * 0.53,
                "EventBridge": 0,
            },
        )

    def test_pushes(self):
        self.expect(
            per_million("push"),
            {
                # 2 units once, 3 + 4 and an event of 2 in transactions twice.
                "DynamoDB": 2 + 2 * 7 + 2 * 2,
                "S3 and KMS": 10 + 0.03,
                # 2 requests of 40 ms and an event of 20; what goes to the ingress is none.
                "Lambda": 3 * 0.2 + 2 * 20_000 * 0.00001 + 10_000 * 0.00001,
                # 2 * 5 KB to the function at half a GB an hour; 3 * 5 and a body of 90 to the ingress at one.
                "load balancer": (20 + 105) * 0.01,
                "logs": 3 * 2 * 0.53 + 3 * 0.53,
                "EventBridge": 2 * 1.5,
            },
        )

    def test_connections_decide_where_they_are_more_than_bytes(self):
        usage = cost.Counter(function_kb=500_000, ingress_kb=1_000_000, connections=300_000)
        self.assertAlmostEqual(cost.priced(inputs(), usage)["load balancer"], 3 * 0.01)

    def test_fixed(self):
        expected = {
            "load balancer": 2,
            "its public addresses": 2,
            # Two tasks of half a processor and a GB.
            "streaming ingress": 100 * 2 * (0.02 + 0.004),
            "jobs": self.jobs(),
            "alarms": 9 * 0.1,
            "dashboard": 3,
            "KMS keys": 2,
            "secret": 0.4,
        }
        self.expect(cost.fixed(inputs()), expected)

    @staticmethod
    def jobs():
        """6,000 runs of 50 ms at half a GB, with 8 queries of half a unit and 2 KB of logs."""
        runs = 6_000
        lambdas = runs * 0.2 / 1e6 + runs * 0.025 * 0.00001
        return lambdas + runs * 8 * 0.5 * 0.5 / 1e6 + runs * 2 / 1e6 * 0.53 + runs * 2 / 1e6

    def test_month(self):
        internet_gb, ours, theirs = cost.month(inputs(), cost.counted_calls(TABLE), "one")
        self.assertEqual(internet_gb, 1_000)
        requests = 2 * sum(per_million("pull").values()) + sum(per_million("push").values())
        # 60 GB of table, with their backup.
        fixed = 6.4 + 4.8 + self.jobs() + 0.9 + 3
        self.expect(ours, {"fixed": fixed, "requests": requests, "storage": 10 * 0.02 + 60 * 0.5, "transfer": 90 + 1})
        self.assertAlmostEqual(theirs, 5 + 10 * 0.1 + 1_000 * 0.08 + 1_000 * 0.002)

    def test_cents_are_rounded_as_people_do(self):
        written = [cost.dollars(amount) for amount in (16.425, 26.125, 0.005, 1234.5)]
        self.assertEqual(written, ["16.43", "26.13", "0.01", "1,234.50"])


class Refused(unittest.TestCase):
    def refused(self, sentence, table=TABLE, **changes):
        with self.assertRaises(cost.Refusal) as caught:
            cost.operation_usage(inputs(**changes), cost.counted_calls(table), "push")
        self.assertEqual(str(caught.exception), sentence)

    def changed(self, row, **changes):
        rows = copy.deepcopy(INPUTS["rows"])
        rows[row] |= changes
        return rows

    def test_no_table(self):
        self.refused("ARCHITECTURE.md has no <!-- calls:begin --> with a <!-- calls:end --> after it.", table="")

    def test_no_row(self):
        table = TABLE.replace("| store |", "| keep |")
        self.refused("The table of calls in ARCHITECTURE.md has no row 'store'.", table=table)

    def test_a_table_that_does_not_add_up(self):
        table = TABLE.replace("3: 1 BatchW", "4: 1 BatchW")
        calls = "4: 1 BatchWriteItem, 2 TransactWriteItems"
        self.refused(f"The calls of 'store' in ARCHITECTURE.md do not add up: '{calls}'.", table=table)

    def test_a_call_more(self):
        table = TABLE.replace("3: 1 BatchWriteItem, 2 T", "4: 1 BatchWriteItem, 3 T")
        self.refused("'store' makes 3 TransactWriteItems, but cost.toml has the units of 2.", table=table)

    def test_a_call_that_is_not_made(self):
        rows = self.changed("store", units=INPUTS["rows"]["store"]["units"] | {"Query": [1]})
        self.refused("cost.toml has units of Query for 'store', which makes no such call.", rows=rows)

    def test_a_call_without_units(self):
        rows = self.changed("store", units={"TransactWriteItems": [3, 4]})
        self.refused("cost.toml has no 'rows.store.units.BatchWriteItem'.", rows=rows)

    def test_a_call_of_an_unknown_price(self):
        table = TABLE.replace("1 PutObject", "1 SelectObject")
        self.refused("'store' makes a call of an unknown price: SelectObject.", table=table)

    def test_inputs_that_are_no_numbers(self):
        self.refused("'rows.store.events' in cost.toml is not of its form.", rows=self.changed("store", events=True))
        self.refused("'rows.store.events' in cost.toml is negative.", rows=self.changed("store", events=-1))
        rows = self.changed("store", ingress_requests=-1)
        self.refused("'rows.store.ingress_requests' in cost.toml is negative.", rows=rows)

    def test_requests_of_which_nothing_is_said(self):
        for name in ("requests", "ingress_requests"):
            rows = self.changed("store")
            del rows["store"][name]
            self.refused(f"cost.toml has no 'rows.store.{name}'.", rows=rows)

    def test_events_of_which_nothing_is_said(self):
        for name in ("event_runs", "bus_events"):
            operations = copy.deepcopy(INPUTS["operations"])
            del operations["push"][name]
            self.refused(f"cost.toml has no 'operations.push.{name}'.", operations=operations)

    def test_a_function_without_milliseconds(self):
        milliseconds = {"pull": 10, "push": 40, "jobs": 50}
        changes = {"lambda": {"memory_mb": 512, "milliseconds": milliseconds}}
        self.refused("cost.toml has no 'lambda.milliseconds.events'.", **changes)

    def test_a_fixed_part_without_one_of_its_numbers(self):
        needed = {
            "prices": ("fargate_vcpu_hour", "fargate_gb_hour", "alarm_metric_month", "dashboard_month"),
            "fixed": ("ingress_tasks", "ingress_vcpus", "alarm_metrics", "scaling_alarm_metrics", "dashboards"),
            "jobs": ("runs_per_hour", "queries", "query_units"),
        }
        for section, names in needed.items():
            for name in names:
                values = {key: value for key, value in INPUTS[section].items() if key != name}
                with self.assertRaises(cost.Refusal) as caught:
                    cost.fixed(inputs(**{section: values}))
                self.assertEqual(str(caught.exception), f"cost.toml has no '{section}.{name}'.")


class Command(unittest.TestCase):
    """The command, in a copy of the files it reads."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "infra").mkdir()
        for name in NAMES:
            (self.root / name).write_text((HERE.parent / name).read_text())

    def run_it(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.object(cost, "ROOT", self.root),
            mock.patch("sys.argv", ["cost", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            return cost.main(), out.getvalue(), err.getvalue()

    def replace(self, name, old, new):
        text = (self.root / name).read_text()
        self.assertIn(old, text)
        (self.root / name).write_text(text.replace(old, new))

    def test_the_readme_has_what_is_printed(self):
        status, printed, _ = self.run_it()
        self.assertEqual(status, 0)
        self.assertIn(printed, (self.root / "README.md").read_text())

    def test_another_price_is_noticed_and_written(self):
        self.replace("infra/cost.toml", "s3_gb_month = 0.023", "s3_gb_month = 0.024")
        before = (self.root / "README.md").read_text()
        status, _, said = self.run_it("--check")
        self.assertEqual((status, said.count("\n")), (1, 1))
        self.assertIn("infra/cost --write", said)
        self.assertEqual((self.root / "README.md").read_text(), before)
        self.assertEqual(self.run_it("--write")[0], 0)
        self.assertEqual(self.run_it("--check"), (0, "", ""))
        outside = re.compile(re.escape(cost.COSTS[0]) + ".*" + re.escape(cost.COSTS[1]), re.S)
        self.assertEqual(outside.sub("", before), outside.sub("", (self.root / "README.md").read_text()))

    def test_a_missing_input_is_one_sentence(self):
        self.replace("infra/cost.toml", "lcu_hour = ", "lcu_day = ")
        self.assertEqual(self.run_it(), (2, "", "infra/cost: cost.toml has no 'prices.lcu_hour'.\n"))

    def test_a_missing_row_is_one_sentence(self):
        self.replace("ARCHITECTURE.md", "| GET blob (307) |", "| GET blob |")
        sentence = "infra/cost: The table of calls in ARCHITECTURE.md has no row 'GET blob (307)'.\n"
        self.assertEqual(self.run_it("--check"), (2, "", sentence))

    def test_missing_and_broken_files(self):
        (self.root / "infra/cost.toml").write_text("prices")
        status, _, said = self.run_it()
        self.assertEqual((status, said.count("\n")), (2, 1))
        (self.root / "infra/cost.toml").unlink()
        sentence = "infra/cost: infra/cost.toml cannot be read: No such file or directory.\n"
        self.assertEqual(self.run_it(), (2, "", sentence))


class Template(unittest.TestCase):
    """What cost.toml repeats from the template and from the code."""

    def setUp(self):
        self.values = tomllib.loads((HERE / "cost.toml").read_text())
        self.template = (HERE / "template.yaml").read_text()
        resources = self.template.partition("\nResources:\n")[2].partition("\nOutputs:\n")[0]
        self.resources = re.split(r"^  (?=\w+:\n)", resources, flags=re.M)[1:]

    def of_type(self, name):
        return [resource for resource in self.resources if f"    Type: AWS::{name}\n" in resource]

    def test_it_is_the_same(self):
        fixed = self.values["fixed"]
        memory = re.findall(r"MemorySize: (\d+)", self.template)
        self.assertEqual(memory, [str(self.values["lambda"]["memory_mb"])])
        self.assertEqual(len(self.of_type("KMS::Key")), fixed["kms_keys"])
        self.assertEqual(len(self.of_type("SecretsManager::Secret")), fixed["secrets"])
        self.assertEqual(len(self.of_type("CloudWatch::Dashboard")), fixed["dashboards"])
        self.assertLessEqual(len(self.of_type("ElasticLoadBalancingV2::ListenerRule")), 10)

    def test_alarms_watch_as_many_metrics(self):
        alarms = self.of_type("CloudWatch::Alarm")
        # One that computes names its metrics as MetricStat, another is of one metric.
        watched = [alarm.count("MetricStat:") or alarm.count("\n      MetricName: ") for alarm in alarms]
        self.assertNotIn(0, watched)
        self.assertEqual(sum(watched), self.values["fixed"]["alarm_metrics"])
        # Below a minute an alarm costs thrice as much.
        self.assertGreaterEqual(min(int(s) for alarm in alarms for s in re.findall(r"Period: (\d+)", alarm)), 60)
        policies = self.of_type("ApplicationAutoScaling::ScalingPolicy")
        self.assertTrue(all("PolicyType: TargetTrackingScaling\n" in policy for policy in policies))
        self.assertEqual(2 * len(policies), self.values["fixed"]["scaling_alarm_metrics"])
        self.assertEqual(self.of_type("CloudWatch::CompositeAlarm"), [])

    def test_the_ingress_is_as_large(self):
        fixed = self.values["fixed"]
        (task,) = self.of_type("ECS::TaskDefinition")
        self.assertIn("RuntimePlatform: { CpuArchitecture: X86_64, OperatingSystemFamily: LINUX }", task)
        self.assertNotIn("EphemeralStorage", task)
        sizes = {name: int(size) / 1024 for name, size in re.findall(r'^      (Cpu|Memory): "(\d+)"', task, re.M)}
        self.assertEqual(sizes, {"Cpu": fixed["ingress_vcpus"], "Memory": fixed["ingress_gb"]})
        (least,) = re.findall(r"^  IngressMinTasks:\n(?:    .*\n)*?    Default: (\d+)$", self.template, re.M)
        self.assertEqual(int(least), fixed["ingress_tasks"])

    def test_the_jobs_function_asks_as_often(self):
        jobs = self.values["jobs"]
        schedules = re.findall(r"ScheduleExpression: (.*)", self.template)
        self.assertEqual((schedules, jobs["runs_per_hour"]), (["rate(1 minute)"], 60))
        work = (HERE.parent / "crates/cloud/src/table/work.rs").read_text()
        (shards,) = re.findall(r"const SHARDS: u8 = (\d+);", work)
        (kinds,) = re.findall(r"const ALL: \[Self; (\d+)\]", work)
        self.assertEqual(int(shards) * int(kinds), jobs["queries"])


if __name__ == "__main__":
    unittest.main()
