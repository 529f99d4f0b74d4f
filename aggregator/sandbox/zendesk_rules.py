"""What Zendesk refuses in a ticket (422 RecordInvalid), field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PRIORITIES = ("urgent", "high", "normal", "low")
STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
MAX_BODY = 64 * 1024
MAX_SUBJECT = 255

Problems = dict[str, list[dict[str, str]]]


def problems(ticket: Mapping[str, Any], *, new: bool) -> Problems:
    """Field → what is wrong with it; empty if the ticket can be stored."""
    found: Problems = {}
    if new or "comment" in ticket:
        _comment(ticket.get("comment"), found)
    if "subject" in ticket:
        _subject(ticket["subject"], found)
    if ticket.get("priority") is not None and ticket["priority"] not in PRIORITIES:
        _add(found, "priority", "Priority: is not properly formatted", "InvalidFormat")
    if "status" in ticket and ticket["status"] not in STATUSES:
        _add(found, "status", "Status: is not properly formatted", "InvalidFormat")
    for name in ("tags", "additional_tags", "remove_tags"):
        if name in ticket and not _are_tags(ticket[name]):
            _add(found, name, "Tags: contain invalid characters", "InvalidFormat")
    external_id = ticket.get("external_id")
    if external_id is not None and not (isinstance(external_id, str) and len(external_id) <= 255):
        _add(found, "external_id", "External ID: is not properly formatted", "InvalidFormat")
    if "requester" in ticket:
        _requester(ticket["requester"], found)
    return found


def _comment(comment: Any, found: Problems) -> None:
    body = None
    if isinstance(comment, dict):
        body = comment.get("html_body", comment.get("body"))
    if not isinstance(body, str) or not body.strip():
        _add(found, "base", "Description: cannot be blank", "BlankValue")
    elif len(body.encode()) > MAX_BODY:
        _add(found, "comment", "Comment: is too long", "ValueTooLong")
    elif not isinstance(comment.get("public", True), bool):
        _add(found, "comment", "Public: must be true or false", "InvalidFormat")


def _subject(subject: Any, found: Problems) -> None:
    if not isinstance(subject, str) or not subject.strip():
        _add(found, "subject", "Subject: cannot be blank", "BlankValue")
    elif len(subject) > MAX_SUBJECT or "\n" in subject:
        _add(found, "subject", f"Subject: one line of {MAX_SUBJECT} at most", "ValueTooLong")


def _requester(requester: Any, found: Problems) -> None:
    if not isinstance(requester, dict) or not str(requester.get("name") or "").strip():
        _add(found, "requester", "Requester: Name: is too short", "BlankValue")
        return
    email = requester.get("email")
    if email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", str(email)):
        _add(found, "requester", "Requester: Email: is not properly formatted", "InvalidFormat")


def _are_tags(tags: Any) -> bool:
    return isinstance(tags, list) and all(
        isinstance(tag, str) and tag and not re.search(r"[\s,]", tag) for tag in tags
    )


def _add(found: Problems, name: str, description: str, error: str) -> None:
    found.setdefault(name, []).append({"description": description, "error": error})
