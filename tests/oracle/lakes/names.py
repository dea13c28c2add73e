"""Names and ids that are easy to confuse."""

from __future__ import annotations

import uuid

from lakes.choices import Choices

# Prefixes of one another, different by case only, words of ours, and what a CSV reader or a
# spreadsheet takes for something else.
SCOPES = [
    "user_groups", "user_groups_all", "Files.Read", "Files.Read.All", "files.read", "FILES.READ",
    "groups:read", "groups:read:members", "(all)", "(rest)", "\\(all)", "\\x", "=SUM(A1)", "a", "A",
    "Ärger.lesen", "範囲", "scope", "null", "+1",
]
# Only where one cell holds one value.
SCOPES_WITH_BLANKS = ["read write", "read, write", "read,write"]
FOLDED_SCOPES = [
    "user_groups", "files.read", "files.read.all", "groups:read", "ärger.lesen", "(all)",
]

APPS = [
    "app-1", "app-2", "App-1", "app-10", "(all)", "(rest)", "\\app", "\\(all)", "=1+1", "@app",
    "äpp", "007", "7", "42", "null", "app,with comma", 'app "quoted"', "app\ttab",
]
INTEGER_APPS = ["7", "42", "1000000007", "9007199254740993"]
FOLDED_APPS = ["app-1", "app-2", "äpp", "(all)", "app-10"]
DEVELOPERS = ["dev-1", "dev-2", "Dev-1", "(all)", "\\dev", "=dev", "(rest)"]
CATEGORIES = ["member_names", "photos", "email", "(all)", "\\c", "=x", "Photos"]

TEXT_IDS = [
    "u1", "u2", "U1", "u10", "ü", "(all)", "(rest)", "\\(rest)", "\\", "=id", "1", "01", "-1",
    "用户", "u 1", "u,1", "x" * 40, "null",
]
SMALL_INTEGERS = [0, 1, 2, 3, 9, 10, 11, 100, 127]
SIGNED_INTEGERS = [-1, -2, 128, 32_768, 2**31 - 1, -(2**31), 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]
UNSIGNED_INTEGERS = [128, 65_536, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 2]
# The halves of 128 bits must not be confused, nor their order.
HALVES = [0, 1, 2, 255, 1 << 64, (1 << 64) + 1, 1 << 127, (1 << 128) - 1]
UUIDS = [str(uuid.UUID(int=n)) for n in HALVES] + [
    str(uuid.uuid5(uuid.NAMESPACE_DNS, f"person-{n}")) for n in range(8)
]

FIELDS = ["name", "email", "photo", "Name", "id"]
WORDS = ["SUCCESS", "FAILURE", "ok", "OK", "denied", "Success"]
STATUSES = [200, 200, 200, 200, 204, 299, 199, 300, 302, 304, 400, 401, 403, 404, 429, 500, 503, 0]

TEMPLATES = [
    "/groups/{id}/members", "/groups/{id}", "/me/groups", "/v1.0/users/{user}/files/{file}",
    "/groups", "/groups/{id}/photos", "/search",
]
CALLS = [
    "/groups/42/members", "/groups/42", "/groups/a-b/members", "/me/groups", "/groups",
    "/v1.0/users/7/files/x.txt", "/groups/42/photos", "/search", "/unknown", "/groups/42/members/9",
    "/group", "/",
]
METHODS = ["GET", "POST", "DELETE"]


def apps(c: Choices, folded: bool) -> list[str]:
    """The pool of app ids; the word `null` is an id like any other."""
    if folded:
        return FOLDED_APPS
    return [app for app in APPS if app != "null" or "null_word" not in c.without]
