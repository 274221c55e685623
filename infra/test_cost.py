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
    "lcu": {"gb": 0.5, "connections": 100_000},
    "fixed": {"hours": 100, "kms_keys": 2, "secrets": 1, "public_addresses": 2},
    "lambda": {"memory_mb": 512, "milliseconds": {"pull": 10, "push": 40}},
    "requests": {"overhead_kb": 5, "log_kb": 2, "event_units": 2, "kms_per_object": 0.01},
    "rows": {
        "look": {
            "function": "pull",
            "requests": 1,
            "client_s3_gets": 1,
            "events": 0,
            "units": {"BatchGetItem": [2, 3], "GetItem": [1]},
        },
        "store": {
            "function": "push",
            "requests": 2,
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
            "rows": {"look": 3},
        },
        "push": {
            "label": "pushes",
            "function": "pull",
            "requests_without_calls": 0,
            "connections": 1,
            "body_kb": 90,
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
            },
        )

    def test_pushes(self):
        self.expect(
            per_million("push"),
            {
                # 2 units once, 3 + 4 and an event of 2 in transactions twice.
                "DynamoDB": 2 + 2 * 7 + 2 * 2,
                "S3 and KMS": 10 + 0.03,
                "Lambda": 2 * 0.2 + 2 * 20_000 * 0.00001,
                # 2 * 5 KB and a body of 90.
                "load balancer": 200 * 0.01,
                "logs": 4 * 0.53,
            },
        )

    def test_connections_decide_where_they_are_more_than_bytes(self):
        usage = cost.Counter(balancer_kb=500_000, connections=300_000)
        self.assertAlmostEqual(cost.priced(inputs(), usage)["load balancer"], 3 * 0.01)

    def test_fixed(self):
        expected = {"load balancer": 2, "its public addresses": 2, "KMS keys": 2, "secret": 0.4}
        self.expect(cost.fixed(inputs()), expected)

    def test_month(self):
        internet_gb, ours, theirs = cost.month(inputs(), cost.counted_calls(TABLE), "one")
        self.assertEqual(internet_gb, 1_000)
        requests = 2 * sum(per_million("pull").values()) + sum(per_million("push").values())
        # 60 GB of table, with their backup.
        self.expect(ours, {"fixed": 6.4, "requests": requests, "storage": 10 * 0.02 + 60 * 0.5, "transfer": 90 + 1})
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
    """What cost.toml repeats from the template."""

    def test_it_is_the_same(self):
        template = (HERE / "template.yaml").read_text()
        values = tomllib.loads((HERE / "cost.toml").read_text())
        memory = re.findall(r"MemorySize: (\d+)", template)
        self.assertEqual(memory, [str(values["lambda"]["memory_mb"])])
        self.assertEqual(template.count("Type: AWS::KMS::Key\n"), values["fixed"]["kms_keys"])
        self.assertEqual(template.count("Type: AWS::SecretsManager::Secret\n"), values["fixed"]["secrets"])


if __name__ == "__main__":
    unittest.main()
