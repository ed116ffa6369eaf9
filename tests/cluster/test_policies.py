"""What our enforcer of NetworkPolicies makes of them. Needs no cluster."""

from typing import Any

from tests.cluster.policies import compile_rules

NAMESPACES = [
    {"metadata": {"name": "ours", "labels": {"kubernetes.io/metadata.name": "ours"}}},
    {"metadata": {"name": "theirs", "labels": {"kubernetes.io/metadata.name": "theirs"}}},
]


def pod(address: str, app: str, namespace: str = "ours", ports: tuple[tuple[str, int], ...] = ()) -> dict[str, Any]:
    named = [{"name": name, "containerPort": number} for name, number in ports]
    return {
        "metadata": {"namespace": namespace, "labels": {"app": app}},
        "spec": {"containers": [{"ports": named}]},
        "status": {"podIP": address, "phase": "Running"},
    }


def policy(selector: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "ours"}, "spec": {"podSelector": selector, **spec}}


def admitted(address: str, direction: str, pods: list[Any], *policies: Any) -> list[str] | None:
    """What is let through to (I) or from (E) an address; None: it is not isolated."""
    chain = f"FP-{direction}-{address}"
    rules = [rule for rule in compile_rules(pods, NAMESPACES, policies) if rule.startswith(f"-A {chain} ")]
    assert not rules or rules[-1] == f"-A {chain} -j DROP"
    return [rule.removeprefix(f"-A {chain} ").removesuffix(" -j RETURN") for rule in rules[:-1]] if rules else None


SERVER = pod("10.0.0.1", "server", ports=(("api", 8080),))
CLIENT = pod("10.0.0.2", "client")
STRANGER = pod("10.0.0.3", "client", namespace="theirs")
PODS = [SERVER, CLIENT, STRANGER]


def test_a_pod_that_no_policy_selects_is_not_isolated() -> None:
    assert admitted("10.0.0.1", "I", PODS, policy({"matchLabels": {"app": "client"}}, policyTypes=["Ingress"])) is None


def test_default_deny_lets_nothing_through() -> None:
    deny = policy({}, policyTypes=["Ingress", "Egress"])
    assert [admitted("10.0.0.1", direction, PODS, deny) for direction in "IE"] == [[], []]
    assert admitted("10.0.0.3", "I", PODS, deny) is None  # of another namespace


def test_a_pod_selector_means_pods_of_the_policys_namespace_and_a_named_port_the_isolated_pods() -> None:
    allow = policy(
        {"matchLabels": {"app": "server"}},
        policyTypes=["Ingress"],
        ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": "api"}]}],
    )
    assert admitted("10.0.0.1", "I", PODS, allow) == ["-s 10.0.0.2 -p tcp --dport 8080"]


def test_a_namespace_selector_means_pods_of_those_namespaces() -> None:
    there = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["ours"]}]}
    allow = policy({}, policyTypes=["Ingress"], ingress=[{"from": [{"namespaceSelector": there}]}])
    assert admitted("10.0.0.1", "I", PODS, allow) == ["-s 10.0.0.3"]


def test_a_rule_without_peers_means_everybody_and_policies_add_up() -> None:
    dns = policy({}, policyTypes=["Egress"], egress=[{"ports": [{"port": 53, "protocol": "UDP"}]}])
    server = policy(
        {"matchLabels": {"app": "client"}},
        policyTypes=["Egress"],
        egress=[{"to": [{"podSelector": {"matchLabels": {"app": "server"}}}], "ports": [{"port": "api"}]}],
    )
    expected = ["-d 0.0.0.0/0 -p udp --dport 53", "-d 10.0.0.1 -p tcp --dport 8080"]
    assert admitted("10.0.0.2", "E", PODS, dns, server) == expected


def test_a_block_is_cut_around_what_it_excepts() -> None:
    block = {"ipBlock": {"cidr": "10.0.0.0/30", "except": ["10.0.0.0/31"]}}
    allow = policy({"matchLabels": {"app": "client"}}, policyTypes=["Egress"], egress=[{"to": [block]}])
    assert admitted("10.0.0.2", "E", PODS, allow) == ["-d 10.0.0.2/31"]
