"""The load balancer's rules, read from the template: whose a request is."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml

TEMPLATE = Path(__file__).resolve().parents[1] / "infra" / "template.yaml"


class _Loader(yaml.SafeLoader):
    """CloudFormation's tags: what they refer to is all that matters here."""


def _plain(loader: yaml.Loader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)


_Loader.add_multi_constructor("!", _plain)


@dataclass
class Rule:
    """One rule, and the name of what it leads to: a function, or the ingress."""

    priority: int
    target: str
    methods: set[str] = field(default_factory=set)
    paths: list[str] = field(default_factory=list)
    header: tuple[str, set[str]] | None = None
    parameter: tuple[str, str] | None = None

    def matches(self, method: str, path: str, query: str, headers: Any) -> bool:
        """As a load balancer decides: names of parameters and values of headers know no case."""
        given = [(name.lower(), value.lower()) for name, value in parse_qsl(query, keep_blank_values=True)]
        return (
            method in self.methods
            and any(fnmatchcase(path, pattern) for pattern in self.paths)
            and (self.header is None or headers.get(self.header[0], "").lower() in self.header[1])
            and (
                self.parameter is None
                or any(name == self.parameter[0] and fnmatchcase(value, self.parameter[1]) for name, value in given)
            )
        )


def read_rules() -> list[Rule]:
    """All rules of the template, in the order in which they are asked."""
    resources = yaml.load(TEMPLATE.read_text(), _Loader)["Resources"]  # noqa: S506 - a safe loader
    rules = []
    for resource in resources.values():
        if resource["Type"] != "AWS::ElasticLoadBalancingV2::ListenerRule":
            continue
        properties = resource["Properties"]
        group = resources[properties["Actions"][0]["TargetGroupArn"]]["Properties"]
        is_function = group["TargetType"] == "lambda"
        target = group["Targets"][0]["Id"].removesuffix(".Arn") if is_function else "Ingress"
        rule = Rule(properties["Priority"], target)
        for condition in properties["Conditions"]:
            match condition["Field"]:
                case "http-request-method":
                    rule.methods = set(condition["HttpRequestMethodConfig"]["Values"])
                case "path-pattern":
                    rule.paths = condition["PathPatternConfig"]["Values"]
                case "http-header":
                    config = condition["HttpHeaderConfig"]
                    rule.header = (config["HttpHeaderName"], {value.lower() for value in config["Values"]})
                case "query-string":
                    pair = condition["QueryStringConfig"]["Values"][0]
                    rule.parameter = (pair["Key"].lower(), pair["Value"].lower())
        rules.append(rule)
    return sorted(rules, key=lambda rule: rule.priority)
