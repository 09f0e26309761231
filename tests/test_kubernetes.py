"""The manifests of k8s/ as kustomize renders them, against schemas and rules of KubeRay 1.7."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parent.parent
SCHEMAS = ROOT.parent / "shared" / "schemas" / "kuberay"
"""Of the CRDs of KubeRay 1.7.0."""
OVERLAYS = ("cpu", "gpu", "spot", "local")

pytestmark = [
    pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl to render k8s/ with"),
    pytest.mark.parametrize("overlay", OVERLAYS),
]


@functools.cache
def rendered(overlay: str) -> list[dict[str, Any]]:
    command = ["kubectl", "kustomize", str(ROOT / "k8s" / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def the(overlay: str, kind: str, name: str = "latentprint") -> dict[str, Any]:
    (found,) = (
        one for one in rendered(overlay) if (one["kind"], one["metadata"]["name"]) == (kind, name)
    )
    return found


def pods(node: Any) -> Iterator[dict[str, Any]]:
    """Every pod template in a document, that of a custom resource included."""
    if isinstance(node, dict):
        if "containers" in node.get("spec", {}):
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from pods(one)


def containers(overlay: str) -> Iterator[dict[str, Any]]:
    for pod in pods(rendered(overlay)):
        yield from pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    for kind in ("RayCluster", "RayJob"):
        spec = the(overlay, kind)["spec"]
        yield spec.get("rayClusterSpec", spec)["autoscalerOptions"]


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Refuse fields that the schema does not list; see the README beside the schemas."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: value for key, value in schema.items() if key != "properties"}
    if properties := schema.get("properties"):
        made["properties"] = {
            key: {"type": "object"} if key == "metadata" else strict(value)
            for key, value in properties.items()
        }
        optional = {key for key, value in properties.items() if "default" in value}
        made["required"] = [key for key in schema.get("required", []) if key not in optional]
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = strict(schema[key])
    return made


def pinned(package: str) -> str:
    text = (ROOT / "docker" / "constraints.txt").read_text()
    return re.findall(rf"^{package}==(.+)$", text, re.MULTILINE)[0]


@pytest.mark.skipif(not SCHEMAS.exists(), reason="no ../shared/schemas/kuberay")
@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_kuberay_knows_every_field(overlay: str, kind: str) -> None:
    schema = strict(json.loads((SCHEMAS / f"{kind}.v1.json").read_text()))
    found = [
        f"{error.json_path}: {error.message[:200]}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(the(overlay, kind))
    ]
    assert found == []
    wrong = the(overlay, kind) | {"spec": the(overlay, kind)["spec"] | {"rayVersionn": "1"}}
    assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)


def test_what_the_operator_refuses_beyond_its_schema(overlay: str) -> None:
    job = the(overlay, "RayJob")["spec"]
    assert job["shutdownAfterJobFinishes"]
    assert job["ttlSecondsAfterFinished"] > 0
    assert "deletionStrategy" not in job
    assert job["submissionMode"] == "K8sJobMode"
    assert "clusterSelector" not in job
    assert job["submitterConfig"]["backoffLimit"] == job["backoffLimit"] == 0
    cluster = the(overlay, "RayCluster")["spec"]
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52, 0)
    assert cluster["authOptions"]["mode"] == "token"
    assert cluster["autoscalerOptions"]["version"] == "v2"
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert {group["template"]["spec"]["restartPolicy"] for group in groups} == {"Never"}


def test_fields_behind_a_feature_gate_are_not_used(overlay: str) -> None:
    assert not any(one["kind"] == "RayCronJob" for one in rendered(overlay))
    cluster = the(overlay, "RayCluster")["spec"]
    assert not {"networkPolicy", "tlsOptions", "historyServerOptions"} & set(cluster)
    assert cluster["gcsFaultToleranceOptions"].get("backend", "redis") == "redis"


def test_a_job_gets_the_cluster_of_its_overlay(overlay: str) -> None:
    assert the(overlay, "RayJob")["spec"]["rayClusterSpec"] == the(overlay, "RayCluster")["spec"]


def test_versions_are_those_of_the_constraints_file(overlay: str) -> None:
    ray, mlflow = pinned("ray"), pinned("mlflow")
    assert the(overlay, "RayCluster")["spec"]["rayVersion"] == ray
    variant = "cuda" if overlay == "gpu" else "cpu"
    images = {one["image"] for one in containers(overlay) if "image" in one}
    allowed = {f"latentprint:{ray}-cpu", f"latentprint:{ray}-{variant}"}
    ours = {one for one in images if one.startswith("latentprint")}
    assert ours == allowed | {f"latentprint-mlflow:{mlflow}"}
    # Those of others are pinned to a release.
    assert all(re.search(r":\d+\.\d+", one) for one in images)


def test_every_container_requests_what_it_needs(overlay: str) -> None:
    for one in containers(overlay):
        assert {"cpu", "memory"} <= set(one["resources"]["requests"]), one.get("name")
        assert {"cpu", "memory"} <= set(one["resources"]["limits"]), one.get("name")


def test_workers_get_all_that_they_may_use(overlay: str) -> None:
    """Ray counts on the limits; a GPU in requests alone is refused."""
    (group,) = the(overlay, "RayCluster")["spec"]["workerGroupSpecs"]
    resources = group["template"]["spec"]["containers"][0]["resources"]
    assert ("nvidia.com/gpu" in resources["limits"]) == (overlay == "gpu")
    if overlay != "local":
        assert resources["requests"] == resources["limits"]


def test_pods_keep_to_the_restricted_standard(overlay: str) -> None:
    namespace = the(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    found = list(pods(rendered(overlay)))
    assert len(found) == 9  # 3 services, 2 clusters of head and worker, submitter, nightly
    for pod in found:
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in containers(overlay):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_only_the_head_may_talk_to_the_kubernetes_api(overlay: str) -> None:
    """Its account is made by the operator, with the autoscaler's rights."""
    for pod in pods(rendered(overlay)):
        head = pod["spec"]["containers"][0]["name"] == "ray-head"
        assert pod["spec"].get("automountServiceAccountToken", True) == head


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items()


def allows(
    overlay: str, direction: str, end: dict[str, str], other: dict[str, str], port: int
) -> bool:
    """Whether a pod's own policies let it connect (Egress) or be reached (Ingress)."""
    side = "to" if direction == "Egress" else "from"
    for policy in (one["spec"] for one in rendered(overlay) if one["kind"] == "NetworkPolicy"):
        if direction not in policy["policyTypes"] or not selects(policy["podSelector"], end):
            continue
        for rule in policy.get(direction.lower(), []):
            ports = [one["port"] for one in rule.get("ports", [])]
            peers = [one.get("podSelector") for one in rule.get(side, [])]
            if (not ports or port in ports) and any(p and selects(p, other) for p in peers):
                return True
    return False


RAY = {"latentprint/role": "ray"}
ENDS = {
    "head": RAY | {"ray.io/node-type": "head"},
    "worker": RAY | {"ray.io/node-type": "worker"},
    "operator": {"app.kubernetes.io/name": "kuberay-operator"},
    "submitter": {"latentprint/role": "submitter"},
    **{name: {"app.kubernetes.io/name": name} for name in ("mlflow", "postgres", "redis")},
}
NEEDED = {
    ("worker", "head", 6379),
    ("head", "worker", 10002),
    ("worker", "worker", 20000),
    ("head", "head", 8265),
    ("head", "redis", 6379),
    ("head", "mlflow", 5000),
    ("mlflow", "postgres", 5432),
    ("submitter", "head", 8265),
}


def test_only_needed_connections_are_allowed(overlay: str) -> None:
    deny = the(overlay, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert allows(overlay, "Ingress", ENDS["head"], ENDS["operator"], 8265)
    inside = [name for name in ENDS if name != "operator"]
    for source in inside:
        for target in inside:
            for port in (5000, 5432, 6379, 8265, 10002, 20000):
                allowed = allows(overlay, "Egress", ENDS[source], ENDS[target], port) and allows(
                    overlay, "Ingress", ENDS[target], ENDS[source], port
                )
                ray = {source, target} <= {"head", "worker"}
                needed = (source, target, port) in NEEDED
                assert allowed == (needed or ray), (source, target, port)
