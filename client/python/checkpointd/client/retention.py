"""The calls that manage retention, as those in `checkpointd.client.operations`. They need the role admin."""

from collections.abc import Mapping

from checkpointd.client import rpcs
from checkpointd.client.build import build, duration
from checkpointd.client.rpcs import Operation
from checkpointd.v1 import retention_pb2 as messages


def retention_policy(
    name: str = "cleanup",
    *,
    labels: Mapping[str, str] | None = None,
    delete_idle_after: float | None = None,
    keep_last: int = 0,
    max_age: float | None = None,
    keep_metadata: str = "",
) -> messages.RetentionPolicy:
    """A policy, with times in seconds; what is left out removes nothing."""
    policy = build(messages.RetentionPolicy, name=name, labels=labels, keep_last=keep_last, keep_metadata=keep_metadata)
    if delete_idle_after is not None:
        policy.delete_idle_after.CopyFrom(duration("delete_idle_after", delete_idle_after))
    if max_age is not None:
        policy.max_age.CopyFrom(duration("max_age", max_age))
    return policy


def set_retention_policy(*, policy: messages.RetentionPolicy, remove_everything: bool = False) -> Operation[None]:
    """Store a policy under its name, for the servers to carry out.

    Raises FailedPrecondition when it would delete every thread and nobody said that this is meant.
    """
    return rpcs.SET_RETENTION_POLICY.of(
        build(messages.SetRetentionPolicyRequest, policy=policy, remove_everything=remove_everything)
    )


def list_retention_policies() -> Operation[list[messages.RetentionPolicy]]:
    """The tenant's policies, by name."""
    return rpcs.LIST_RETENTION_POLICIES.of(messages.ListRetentionPoliciesRequest())


def delete_retention_policy(*, name: str) -> Operation[None]:
    """Remove a policy. One that does not exist is removed already."""
    return rpcs.DELETE_RETENTION_POLICY.of(build(messages.DeleteRetentionPolicyRequest, name=name))


def apply_retention_policy(
    *,
    policy: messages.RetentionPolicy,
    dry_run: bool = False,
    page_token: str = "",
    remove_everything: bool = False,
) -> Operation[messages.ApplyRetentionPolicyResponse]:
    """Carry out a policy now for some threads, or say what it would do; `next_page_token` goes on with the next ones.

    Raises FailedPrecondition as set_retention_policy.
    """
    return rpcs.APPLY_RETENTION_POLICY.of(
        build(
            messages.ApplyRetentionPolicyRequest,
            policy=policy,
            dry_run=dry_run,
            page_token=page_token,
            remove_everything=remove_everything,
        )
    )
