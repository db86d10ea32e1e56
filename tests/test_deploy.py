"""deploy/: the files are what Docker Compose and Kubernetes accept, and start the emulator with options that it has."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.cli.serve import serve

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "deploy" / "compose.yaml"
KUBERNETES = ROOT / "deploy" / "kubernetes.yaml"


def test_compose_file_follows_its_specification() -> None:
    """By the schema of the Compose specification."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_manifests_follow_kubernetes_schemas() -> None:
    """Each of them, strictly: unknown fields are errors too."""
    import kubernetes_validate  # noqa: PLC0415  # slow to import

    for manifest in manifests():
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def manifests() -> list[dict[str, Any]]:
    """The documents of the Kubernetes file."""
    return [*yaml.safe_load_all(KUBERNETES.read_text("utf-8"))]


def test_manifests_are_those_that_a_cluster_needs() -> None:
    """Deployments with their services, an autoscaler, scenarios and a secret; what they refer to is there."""
    found = {(one["kind"], one["metadata"]["name"]) for one in manifests()}
    assert found == {
        ("ConfigMap", "vertex-emulator-scenarios"),
        ("Secret", "vertex-emulator"),
        ("Deployment", "vertex-emulator"),
        ("Service", "vertex-emulator"),
        ("HorizontalPodAutoscaler", "vertex-emulator"),
        ("Deployment", "vertex-emulator-redis"),
        ("Service", "vertex-emulator-redis"),
    }
    (pod,) = [
        one["spec"]["template"]["spec"]
        for one in manifests()
        if one["kind"] == "Deployment" and one["metadata"]["name"] == "vertex-emulator"
    ]
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/__emulator__/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/__emulator__/live"
    assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def commands() -> dict[str, tuple[list[str], list[str]]]:
    """Arguments and environment variables of the emulator, by file."""
    service = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]["emulator"]
    (container,) = [
        one["spec"]["template"]["spec"]["containers"][0]
        for one in manifests()
        if one["kind"] == "Deployment" and one["metadata"]["name"] == "vertex-emulator"
    ]
    return {
        "compose": (service["command"], [*service["environment"]]),
        "kubernetes": (container["args"], [one["name"] for one in container["env"]]),
    }


@pytest.mark.parametrize("name", ["compose", "kubernetes"])
def test_commands_are_those_of_this_version(name: str) -> None:
    """Every option and every variable exists."""
    arguments, variables = commands()[name]
    context = serve.make_context("serve", arguments[1:])
    assert arguments[0] == "serve"
    assert context.params["scenarios"] == ("/scenarios",)
    known = {variable for option in serve.params if isinstance(variable := option.envvar, str)}
    assert set(variables) <= known


def test_scenarios_of_the_config_map_can_be_read() -> None:
    """As `check` reads them."""
    from emulator.scenario.loading import read_text  # noqa: PLC0415  # only here

    (config,) = [one for one in manifests() if one["kind"] == "ConfigMap"]
    for name, text in config["data"].items():
        assert not read_text(text, name).warnings
