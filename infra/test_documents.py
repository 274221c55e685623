"""The commands and parameters that infra/README.md shows are those of the template."""

import re
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
TEMPLATE = (ROOT / "infra" / "template.yaml").read_text(encoding="utf-8")


def parameters() -> dict[str, str]:
    """Each parameter of the template, with what stands below it."""
    section = re.search(r"^Parameters:\n(.*?)^Conditions:$", TEMPLATE, re.M | re.S)
    assert section
    return dict(re.findall(r"^  (\w+):\n((?:    .*\n|\n|  #.*\n)+)", section[1], re.M))


def required() -> set[str]:
    return {name for name, text in parameters().items() if "Default:" not in text}


class Documents(unittest.TestCase):
    def test_the_table_has_all_parameters_and_their_defaults(self) -> None:
        table = README.split("## Parameters")[1].split("\n\nAn alarm")[0]
        rows = re.findall(r"^\| (`.*?`) \|(.*?)\|", table, re.M)
        shown = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
        self.assertEqual(set(shown), set(parameters()))
        for name, text in parameters().items():
            default = re.search(r"^    Default: \"?(.*?)\"?$", text, re.M)
            is_shown = shown[name].strip() not in ("", "none")
            self.assertEqual(bool(default and default[1]), is_shown, name)
            if default and default[1]:
                self.assertIn(default[1], re.sub("`", "", shown[name]).strip().split(", "), name)

    def test_the_deployment_gives_what_is_required_and_nothing_else(self) -> None:
        command = re.search(r"^sam deploy (.*?)^```", README, re.M | re.S)
        self.assertIsNotNone(command)
        given = set(re.findall(r"\b([A-Z]\w+)=", command[1]))
        self.assertEqual(given, required())
        environment = re.search(r"--config-env (\w+)", command[1])
        environments = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
        self.assertIn(environment[1], environments)

    def test_each_environment_of_samconfig_is_whole(self) -> None:
        config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
        self.assertEqual(config["default"]["build"]["parameters"]["template"], "infra/template.yaml")
        environments = set(config) - {"version", "default"}
        self.assertEqual(environments, {"dev", "staging", "prod", "prod-eu", "silo"})
        for name in environments:
            self.assertTrue(config[name]["global"]["parameters"]["stack_name"], name)
            overrides = config[name]["deploy"]["parameters"].get("parameter_overrides", [])
            self.assertLessEqual({given.split("=")[0] for given in overrides}, set(parameters()), name)
        places = [tuple(config[name]["global"]["parameters"].values()) for name in environments]
        self.assertEqual(len(set(places)), len(places), "two environments are one stack")


if __name__ == "__main__":
    unittest.main()
