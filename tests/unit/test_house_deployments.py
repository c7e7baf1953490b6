"""Compose's profile `cluster` and the manifests for Kubernetes, read: no cluster runs here.

KubeRay's own schema is not at hand without a network. A RayService is held against the part of it
that is written down here, from KubeRay's reference of `ray.io/v1`, and what it serves against Ray's
schema of a Serve config file and against the settings of the application.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from remask_service.settings import Settings
from remask_worker.cluster.settings import ReplicaSettings

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"

# Field to what is below it: a kind of value, fields, or a list of either. Fields with `!` must be
# there, and a field that is not named here is refused.
CONTAINER = {
    "name!": str,
    "image!": str,
    "env": [dict],
    "ports": [{"containerPort!": int, "name": str}],
    "readinessProbe": dict,
    "livenessProbe": dict,
    "resources!": {"requests!": dict, "limits": dict},
    "volumeMounts": [{"name!": str, "mountPath!": str, "readOnly": bool, "subPath": str}],
    "lifecycle": dict,
}
POD = {
    "metadata": dict,
    "spec!": {
        "containers!": [CONTAINER],
        "volumes": [dict],
        "terminationGracePeriodSeconds": int,
        "securityContext": dict,
        "affinity": dict,
    },
}
GROUP = {"rayStartParams!": dict, "template!": POD}
RAY_SERVICE = {
    "apiVersion!": str,
    "kind!": str,
    "metadata!": {"name!": str, "namespace": str},
    "spec!": {
        "serveConfigV2!": str,
        "upgradeStrategy": {"type!": str},
        "rayClusterConfig!": {
            "rayVersion!": str,
            "enableInTreeAutoscaling": bool,
            "authOptions": {"mode!": str},
            "headGroupSpec!": GROUP,
            "workerGroupSpecs!": [
                {
                    **GROUP,
                    "groupName!": str,
                    "replicas!": int,
                    "minReplicas!": int,
                    "maxReplicas!": int,
                }
            ],
        },
    },
}


def problems(value: Any, schema: Any, place: str = "") -> list[str]:
    """What of `value` is not as `schema` says."""
    if isinstance(schema, type):
        return [] if isinstance(value, schema) else [f"{place}: {schema.__name__} needed"]
    if isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return [f"{place}: a list needed"]
        return [
            line
            for number, item in enumerate(value)
            for line in problems(item, schema[0], f"{place}[{number}]")
        ]
    if not isinstance(value, dict):
        return [f"{place}: fields needed"]
    known = {name.rstrip("!"): below for name, below in schema.items()}
    found = [f"{place}.{name}: unknown" for name in value if name not in known]
    for name, below in schema.items():
        if name.rstrip("!") in value:
            found += problems(value[name.rstrip("!")], below, f"{place}.{name.rstrip('!')}")
        elif name.endswith("!"):
            found.append(f"{place}.{name}: missing")
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    files = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [
        manifest
        for file in files
        for manifest in yaml.safe_load_all((KUBERNETES / file).read_text())
    ]


def of_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def environment(value: str) -> str:
    """What Compose makes of `value` when only the variables it insists on are set."""
    value = re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", value)
    return re.sub(r"\$\{\w+:\?[^}]*\}", "given", value)


def test_the_cluster_has_every_part_and_label_studio_finds_it_as_the_backend(compose) -> None:
    cluster = {
        name
        for name, service in compose["services"].items()
        if "cluster" in service.get("profiles", ())
    }
    assert cluster == {
        *("web-1", "web-2", "cluster-proxy", "postgres", "minio"),
        *("ray-head", "ray-worker", "ray-deploy"),
    }
    proxy = compose["services"]["cluster-proxy"]
    assert proxy["networks"]["default"]["aliases"] == ["backend"]
    assert [config["target"] for config in proxy["configs"]] == [
        "/etc/nginx/nginx.conf",
        "/etc/nginx/hosts.conf",
    ]


@pytest.mark.parametrize("name", ["web-1", "web-2"])
def test_a_web_host_of_compose_has_settings_that_hold(compose, name) -> None:
    service = compose["services"][name]
    settings = Settings.from_environ(
        {key: environment(value) for key, value in service["environment"].items()}
    )

    assert settings.engine == "ray"
    assert settings.state_url is not None
    assert settings.state_url.startswith("postgresql+psycopg://remask:")
    assert service["volumes"] == [f"{name}-data:/data"]


@pytest.mark.parametrize(
    ("file", "hosts"),
    [
        ("deploy/hosts.conf", ["127.0.0.1:9091", "127.0.0.1:9092"]),
        ("deploy/compose-hosts.conf", ["web-1:9090", "web-2:9090"]),
        ("deploy/kubernetes/hosts.conf", ["web-0:9090", "web-1:9090"]),
    ],
)
def test_the_proxies_name_the_hosts_that_there_are(compose, manifests, file, hosts) -> None:
    text = (ROOT / file).read_text()
    known = {*compose["services"], *of_kind(manifests, "Service"), "127.0.0.1"}

    assert re.findall(r"^\s+server (\S+) ", text, re.MULTILINE) == hosts
    assert {host.partition(":")[0] for host in hosts} <= known
    assert text.count("upstream remask {") == 1


def test_the_ray_service_is_one(manifests) -> None:
    (service,) = of_kind(manifests, "RayService").values()

    assert problems(service, RAY_SERVICE) == []
    cluster = service["spec"]["rayClusterConfig"]
    (group,) = cluster["workerGroupSpecs"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    extra = re.search(r'"ray\[serve\][^"]*?(\d+\.\d+)', (ROOT / "pyproject.toml").read_text())
    assert extra is not None
    assert cluster["rayVersion"].startswith(extra[1])


@pytest.mark.parametrize("place", ["compose", "kubernetes", "docs"])
def test_what_ray_serves_is_an_application_with_settings_that_hold(manifests, place) -> None:
    schema = pytest.importorskip("ray.serve.schema", reason="needs the extra ray")
    if place == "compose":
        text = (ROOT / "deploy" / "serve.yaml").read_text()
    elif place == "kubernetes":
        (service,) = of_kind(manifests, "RayService").values()
        text = service["spec"]["serveConfigV2"]
    else:
        page = (ROOT / "docs" / "cluster.md").read_text()
        text = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]
    config = schema.ServeDeploySchema.model_validate(yaml.safe_load(text))

    (application,) = config.applications
    assert application.import_path == "remask_worker.cluster:app"
    assert config.http_options.port == 8000
    ReplicaSettings.from_args(application.args)


def test_a_web_host_of_kubernetes_has_settings_that_hold(manifests) -> None:
    web = of_kind(manifests, "StatefulSet")["web"]
    (container,) = web["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry.get("value", "http://given") for entry in container["env"]}
    settings = Settings.from_environ(given)

    ray = of_kind(manifests, "RayService")
    assert given["REMASK_RAY_ADDRESS"] == f"http://{next(iter(ray))}-serve-svc:8000"
    assert settings.engine == "ray"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"


def test_pods_are_as_the_schema_says_and_found_by_their_services(manifests) -> None:
    pods: dict[str, dict[str, Any]] = {}
    for kind in ("Deployment", "StatefulSet"):
        for name, each in of_kind(manifests, kind).items():
            template = each["spec"]["template"]
            assert problems(template, POD, name) == []
            labels = template["metadata"]["labels"]
            assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()
            pods[name] = labels
    for service in of_kind(manifests, "Service").values():
        selector = service["spec"]["selector"]
        pod = selector.get("statefulset.kubernetes.io/pod-name")
        if pod is not None:
            assert pod.rpartition("-")[0] in of_kind(manifests, "StatefulSet")
        else:
            assert any(selector.items() <= labels.items() for labels in pods.values())


def test_secrets_are_named_and_never_written(manifests) -> None:
    keys = set(re.findall(r"^  --from-literal=(\S+?)=", _docs(), re.MULTILINE))
    used = set()
    for file in KUBERNETES.glob("*.yaml"):
        used |= set(re.findall(r"name: remask\n\s+key: (\S+)", file.read_text()))

    assert of_kind(manifests, "Secret") == {}
    assert used == keys


def test_images_are_pinned(compose, manifests) -> None:
    images = [service["image"] for service in compose["services"].values()]
    images += re.findall(r"image: (\S+)", "".join(f.read_text() for f in KUBERNETES.glob("*.yaml")))

    assert [image for image in images if not re.search(r":(\d+\.\d+|RELEASE\.\d{4})", image)] == []


def _docs() -> str:
    return (ROOT / "docs" / "deployments.md").read_text()
