"""The Kubernetes manifests name what the code knows and hold what their kinds demand, as far as one sees from here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from notifier.settings import Settings
from notifier.signals import GAUGES, SIGNALS, Metric
from tests.meta.test_deploy import check_command
from workers.queues import QUEUES

ROOT = Path(__file__).parents[2] / "deploy" / "kubernetes"
Manifest = dict[str, Any]

# kind -> its API, and the fields without which the server refuses it
REQUIRED: dict[str, tuple[str, tuple[str, ...]]] = {
    "ConfigMap": ("v1", ("data",)),
    "Service": ("v1", ("spec.selector", "spec.ports")),
    "Deployment": ("apps/v1", ("spec.selector.matchLabels", "spec.template.metadata.labels", "spec.template.spec")),
    "Job": ("batch/v1", ("spec.template.spec.containers", "spec.template.spec.restartPolicy")),
    "Ingress": ("networking.k8s.io/v1", ("spec.rules",)),
    "PodDisruptionBudget": ("policy/v1", ("spec.selector.matchLabels", "spec.maxUnavailable")),
    "HorizontalPodAutoscaler": ("autoscaling/v2", ("spec.scaleTargetRef.name", "spec.maxReplicas", "spec.metrics")),
    "ScaledObject": ("keda.sh/v1alpha1", ("spec.scaleTargetRef.name", "spec.maxReplicaCount", "spec.triggers")),
}


def documents(path: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


FILES = sorted(
    path for path in ROOT.rglob("*.yaml") if path.name not in {"kustomization.yaml", "prometheus-adapter.yaml"}
)
MANIFESTS: dict[str, Manifest] = {
    f"{one['kind']}/{one['metadata']['name']}@{path.parent.name}": one for path in FILES for one in documents(path)
}
ADAPTER: Manifest = documents(ROOT / "hpa" / "prometheus-adapter.yaml")[0]


def of_kind(kind: str) -> dict[str, Manifest]:
    return {name: one for name, one in MANIFESTS.items() if one["kind"] == kind}


DEPLOYMENTS = of_kind("Deployment")
PODS = {name: one["spec"]["template"]["spec"] for name, one in {**DEPLOYMENTS, **of_kind("Job")}.items()}


def at(manifest: Manifest, path: str) -> Any:
    for word in path.split("."):
        manifest = manifest.get(word) or {}
    return manifest


def container(name: str) -> Manifest:
    [only] = PODS[name]["containers"]
    found: Manifest = only
    return found


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_has_the_api_and_the_fields_of_its_kind(name: str) -> None:
    manifest = MANIFESTS[name]
    api, fields = REQUIRED[manifest["kind"]]

    assert manifest["apiVersion"] == api
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", manifest["metadata"]["name"])
    assert [path for path in fields if at(manifest, path) in ({}, None)] == []


def test_names_are_unique_in_what_is_applied_together() -> None:
    assert len(MANIFESTS) == sum(len(documents(path)) for path in FILES)


@pytest.mark.parametrize("folder", ["base", "keda", "hpa"])
def test_a_folder_applies_every_file_that_is_in_it(folder: str) -> None:
    [kustomization] = documents(ROOT / folder / "kustomization.yaml")
    named = set(kustomization["resources"]) - {"../base"}

    assert (kustomization["kind"], kustomization["apiVersion"]) == (
        "Kustomization",
        "kustomize.config.k8s.io/v1beta1",
    )
    assert named == {path.name for path in FILES if path.parent.name == folder}
    assert ("../base" in kustomization["resources"]) is (folder != "base")


def queues(name: str) -> list[str]:
    words = container(name)["args"]
    return words[words.index("--queues") + 1].split(",") if "--queues" in words else []


def test_each_queue_of_the_code_has_exactly_one_deployment_with_its_name() -> None:
    served = {queue: name for name in DEPLOYMENTS for queue in queues(name)}

    assert sorted(queue for name in DEPLOYMENTS for queue in queues(name)) == sorted(QUEUES)
    assert served == {queue: f"Deployment/notifier-{queue}@base" for queue in QUEUES}


@pytest.mark.parametrize("name", PODS)
def test_each_command_exists_and_takes_its_options(name: str) -> None:
    check_command(container(name)["args"], values=set(queues(name)))


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_not_root_writes_only_where_it_may_and_has_bounds(name: str) -> None:
    pod, only = PODS[name], container(name)

    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
    assert pod["automountServiceAccountToken"] is False
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == set(only["resources"]["requests"])
    assert {mount["name"] for mount in only["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("name", PODS)
def test_secrets_come_from_the_environment_and_none_is_written_down(name: str) -> None:
    only = container(name)

    assert only["envFrom"] == [
        {"configMapRef": {"name": "notifier-settings"}},
        {"secretRef": {"name": "notifier-secrets"}},
    ]
    assert "env" not in only
    assert of_kind("Secret") == {}


def test_settings_of_all_are_settings_and_no_secrets() -> None:
    data = MANIFESTS["ConfigMap/notifier-settings@base"]["data"]
    known = {f"NOTIFIER_{field.upper()}" for field in Settings.model_fields} | {"NOTIFIER_CONFIG"}

    assert set(data) <= known
    assert [name for name in data if re.search("TOKEN|SECRET|PASSWORD|REDIS_URL|DATABASE_URL", name)] == []


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_is_given_time_to_end(name: str) -> None:
    drain = Settings.model_fields["drain"].default
    needed = (drain.slice + drain.connect_timeout + drain.request_timeout).total_seconds()

    assert PODS[name]["terminationGracePeriodSeconds"] > needed + 5  # 5 s: the gateway's preStop


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_probes_ask_what_the_process_answers(name: str) -> None:
    only = container(name)
    ports = {port["name"]: port["containerPort"] for port in only["ports"]}
    data = MANIFESTS["ConfigMap/notifier-settings@base"]["data"]
    probes = {kind: only[kind]["httpGet"] for kind in only if kind.endswith("Probe")}
    gateway = only["args"] == ["gateway"]

    assert ports == (
        {"http": int(data["NOTIFIER_GATEWAY_PORT"])} if gateway else {"metrics": int(data["NOTIFIER_METRICS_PORT"])}
    )
    assert probes == (
        {
            "startupProbe": {"path": "/health/live", "port": "http"},
            "livenessProbe": {"path": "/health/live", "port": "http"},
            "readinessProbe": {"path": "/health/ready", "port": "http"},
        }
        if gateway
        else {kind: {"path": "/metrics", "port": "metrics"} for kind in ("startupProbe", "livenessProbe")}
    )


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_selectors_find_their_own_pods_and_no_others(name: str) -> None:
    spec, component = DEPLOYMENTS[name]["spec"], DEPLOYMENTS[name]["metadata"]["name"].removeprefix("notifier-")
    expected = {"app.kubernetes.io/name": "notifier", "app.kubernetes.io/component": component}

    assert spec["selector"]["matchLabels"] == expected
    assert spec["template"]["metadata"]["labels"] == expected
    assert [one["labelSelector"]["matchLabels"] for one in PODS[name]["topologySpreadConstraints"]] == [expected]


def test_there_is_one_clock_and_it_is_never_two() -> None:
    spec = DEPLOYMENTS["Deployment/notifier-beat@base"]["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_what_runs_more_than_once_has_a_budget_for_disruptions_that_finds_it() -> None:
    budgets = {name: one["spec"]["selector"]["matchLabels"] for name, one in of_kind("PodDisruptionBudget").items()}
    several = {
        one["metadata"]["name"]: one["spec"]["selector"]["matchLabels"]
        for one in DEPLOYMENTS.values()
        if one["spec"].get("replicas") not in {0, 1}
    }

    assert budgets == {f"PodDisruptionBudget/{name}@base": labels for name, labels in several.items()}


def targets(folder: str) -> list[str]:
    return sorted(
        one["spec"]["scaleTargetRef"]["name"]
        for name, one in MANIFESTS.items()
        if "scaleTargetRef" in one.get("spec", {}) and name.endswith(f"@{folder}")
    )


def test_what_has_no_number_of_replicas_is_scaled_by_exactly_one_autoscaler() -> None:
    """A number beside an autoscaler would be put back at every apply."""
    free = sorted(one["metadata"]["name"] for one in DEPLOYMENTS.values() if "replicas" not in one["spec"])

    assert sorted(targets("base") + targets("keda")) == free
    assert sorted(targets("base") + targets("hpa")) == free


def test_the_world_reaches_the_doors_and_nothing_else() -> None:
    ingress = MANIFESTS["Ingress/notifier-gateway@base"]["spec"]
    paths = [path for rule in ingress["rules"] for path in rule["http"]["paths"]]
    [service] = {path["backend"]["service"]["name"] for path in paths}

    assert [path["path"] for path in paths] == ["/v1/", "/receipts/"]
    assert at(MANIFESTS[f"Service/{service}@base"], "spec.ports")[0]["targetPort"] == "http"
    assert at(MANIFESTS[f"Service/{service}@base"], "spec.selector") == at(
        DEPLOYMENTS["Deployment/notifier-gateway@base"], "spec.selector.matchLabels"
    )


# The queries: every name in them is a metric of ours, every label one of its labels, every value one that it can have.

_METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*(one for s in SIGNALS.values() for one in s.metrics), *GAUGES.values())
}
_VALUES = {"channel": set(QUEUES), "stream": {"inbox", "webhooks", "receipts"}, "kind": {"lane"}, "end": {"accepted"}}


def of_keda() -> dict[str, str]:
    return {
        f"{name} {place}": trigger["metadata"]["query"]
        for name, one in of_kind("ScaledObject").items()
        for place, trigger in enumerate(one["spec"]["triggers"])
    }


def of_the_adapter() -> dict[str, str]:
    return {one["name"]["as"]: one["metricsQuery"] for one in ADAPTER["rules"]["external"]}


QUERIES = {**of_keda(), **of_the_adapter()}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_asks_for_metrics_that_we_export(name: str) -> None:
    asked = re.findall(r"\b(notifier_\w+)(?:\{([^}]*)\})?", QUERIES[name])

    assert asked
    assert {metric for metric, _ in asked} <= set(_METRICS)
    for metric, matchers in asked:
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            assert label in _METRICS[metric].label_names
            assert set(values.split("|")) <= _VALUES[label]
        assert set(re.findall(r"(?:by|on) \((\w+)\)", QUERIES[name])) <= {"lane"}
    assert QUERIES[name].count("(") == QUERIES[name].count(")")


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_scales_by_age_and_rate_and_has_an_answer_when_nothing_waits(name: str) -> None:
    assert QUERIES[name].endswith(" or vector(0)")
    assert "notifier_stream_length" not in QUERIES[name]
    assert "notifier_lane_queued" not in QUERIES[name]


def test_the_end_of_a_delivery_that_counts_as_sent_is_one_that_drains_note() -> None:
    assert (
        _METRICS["notifier_deliveries_total"].by_field,
        "accepted" in _METRICS["notifier_deliveries_total"].fields,
    ) == (
        "end",
        True,
    )


def test_a_channels_queries_ask_for_that_channel() -> None:
    for name, query in QUERIES.items():
        asked = set(re.findall(r'channel="(\w+)"', query))
        assert asked <= {channel for channel in ("whatsapp", "sms") if channel in name}


def test_triggers_of_keda_are_complete() -> None:
    for one in of_kind("ScaledObject").values():
        for trigger in one["spec"]["triggers"]:
            assert trigger["type"] == "prometheus"
            assert trigger["metricType"] in {"Value", "AverageValue"}
            assert {"serverAddress", "query", "threshold"} <= set(trigger["metadata"])
            assert isinstance(trigger["metadata"]["threshold"], str)
        assert {"failureThreshold", "replicas"} == set(one["spec"]["fallback"])


def test_both_ways_of_scaling_ask_the_same_with_the_same_thresholds() -> None:
    keda = {
        (one["spec"]["scaleTargetRef"]["name"], trigger["metadata"]["query"], trigger["metadata"]["threshold"])
        for one in of_kind("ScaledObject").values()
        for trigger in one["spec"]["triggers"]
    }
    hpa = {
        (one["spec"]["scaleTargetRef"]["name"], of_the_adapter()[metric["external"]["metric"]["name"]], value)
        for name, one in of_kind("HorizontalPodAutoscaler").items()
        if name.endswith("@hpa")
        for metric in one["spec"]["metrics"]
        for value in [metric["external"]["target"].get("value") or metric["external"]["target"]["averageValue"]]
    }

    assert hpa == keda
