"""Reads OpenLineage events, one a line, from stdin and holds each against the schemas of the specification.

    validate.py FOLDER    # the folder with OpenLineage.json and facets/

Every facet is held against the definition that its _schemaURL names, and must name the one that the
specification has for a facet of that name. Formats are checked. Exit code 1 and what is wrong, or 0.
"""

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

formats = FormatChecker()


@formats.checks("uri")
def is_uri(text):
    return not isinstance(text, str) or bool(urlsplit(text).scheme)


def schemas(folder):
    paths = [folder / "OpenLineage.json", *sorted((folder / "facets").glob("*.json"))]
    return [json.loads(path.read_text()) for path in paths]


def facets_of(event):
    """Every facet with its name."""
    holders = [event["run"].get("facets", {}), event["job"].get("facets", {})]
    for dataset in event.get("inputs", []) + event.get("outputs", []):
        holders += [dataset.get(key, {}) for key in ("facets", "inputFacets", "outputFacets")]
    for holder in holders:
        yield from holder.items()


def main():
    known = schemas(Path(sys.argv[1]))
    registry = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema, default_specification=DRAFT202012)) for schema in known
    )
    # The specification says under which name a facet stands: the property of its schema.
    by_name = {}
    for schema in known[1:]:
        for name, of in schema.get("properties", {}).items():
            if "$ref" in of:
                by_name.setdefault(name, set()).add(schema["$id"] + of["$ref"])
    wrong = []
    events = [json.loads(line) for line in sys.stdin if line.strip()]
    for number, event in enumerate(events, 1):

        def check(what, schema, of):
            validator = Draft202012Validator({"$ref": schema}, registry=registry, format_checker=formats)
            wrong.extend(
                f"event {number} ({event.get('eventType')}), {what}: {error.json_path}: {error.message}"
                for error in validator.iter_errors(of)
            )

        check("event", event["schemaURL"], event)
        if event["schemaURL"] != known[0]["$id"] + "#/$defs/RunEvent":
            wrong.append(f"event {number}: schemaURL is {event['schemaURL']}")
        for name, facet in facets_of(event):
            if facet["_schemaURL"] not in by_name.get(name, ()):
                wrong.append(f"event {number}: facet {name} names {facet['_schemaURL']}")
                continue
            check(name, facet["_schemaURL"], facet)
    print("\n".join(wrong) or f"{len(events)} events hold")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
