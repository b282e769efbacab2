#!/usr/bin/env python3
"""Fields of the Kubernetes objects that deploy/kubernetes uses: which there are, of what type, which
must be there, which values are known. A table, so that the check needs no package and no network.

usage: kubernetes_fields.py SCHEMAS > kubernetes_fields.json

makes the table from Kubernetes' own schemas: SCHEMAS is a folder v1.N.0-local-strict of the Python
package kubernetes-validate. It holds the types that the manifests reach and no others, so run it
again when check() misses a type. Formats of strings are not checked.
"""

import json
import pathlib
import re
import sys

TABLE = pathlib.Path(__file__).with_suffix(".json")
PLAIN = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|[KMGTPE]i|[MGTPE])?")


def check(document, table=None):
    """Faults of one object, as texts; none when it is right."""
    table = table or json.loads(TABLE.read_text())
    kind = f"{document.get('apiVersion')} {document.get('kind')}"
    if kind not in table["kinds"]:
        return [f"{kind}: not in {TABLE.name}"]
    faults = []
    visit(document, table["kinds"][kind], table["types"], kind, faults)
    return faults


def visit(value, type_, types, where, faults):
    """`type_`: a plain type, a|b for an enumeration, []T, {}T (a map), or a name in `types`."""
    if type_[:2] in ("[]", "{}"):
        if not isinstance(value, list if type_[0] == "[" else dict):
            faults.append(f"{where}: expected {type_}, found {value!r}")
            return
        entries = enumerate(value) if type_[0] == "[" else value.items()
        for key, item in entries:
            visit(item, type_[2:], types, f"{where}[{key}]", faults)
    elif type_ in types:
        visit_object(value, types[type_], types, where, faults)
    elif type_ == "Quantity":
        if isinstance(value, bool) or not QUANTITY.fullmatch(str(value)):
            faults.append(f"{where}: expected a quantity, found {value!r}")
    elif type_ == "IntOrString":
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            faults.append(f"{where}: expected a number or a name, found {value!r}")
    elif type_.startswith("="):
        if value not in type_[1:].split("|"):
            faults.append(f"{where}: expected {type_[1:]}, found {value!r}")
    elif type_ not in PLAIN:
        faults.append(f"{where}: {type_} is not in {TABLE.name}: make it again")
    elif not isinstance(value, PLAIN[type_]) or isinstance(value, bool) != (type_ == "boolean"):
        faults.append(f"{where}: expected {type_}, found {value!r}")


def visit_object(value, fields, types, where, faults):
    """`fields`: name to type; a name with ! must be there."""
    if not isinstance(value, dict):
        faults.append(f"{where}: expected an object, found {value!r}")
        return
    known = {name.rstrip("!"): type_ for name, type_ in fields.items()}
    faults += [f"{where}: unknown field {name}" for name in value if name not in known]
    faults += [f"{where}: {name[:-1]} is missing" for name in fields
               if name.endswith("!") and name[:-1] not in value]
    for name, item in value.items():
        if name in known:
            visit(item, known[name], types, f"{where}.{name}", faults)


# --- making the table ----------------------------------------------------------------------------

def short(reference):
    return reference.rpartition(".")[2]


def type_of(schema):
    if "$ref" in schema:
        return short(schema["$ref"])
    types = schema.get("type", "object")
    plain = types if isinstance(types, str) else next(t for t in types if t != "null")
    if "enum" in schema:
        return "=" + "|".join(v for v in schema["enum"] if v is not None)
    if plain == "array":
        return "[]" + type_of(schema["items"])
    if plain == "object":
        return "{}" + type_of(schema.get("additionalProperties") or {"type": "string"})
    return plain


def fields_of(schema):
    required = set(schema.get("required", []))
    return {name + ("!" if name in required else ""): type_of(field)
            for name, field in sorted(schema.get("properties", {}).items())}


def make(folder, documents):
    definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
    by_name = {short(name): schema for name, schema in definitions.items()
               if re.match(r"io\.k8s\.(api\.(core|apps|policy|networking)\.v1|apimachinery)\b", name)}
    version = re.search(r"v(\d+\.\d+)", folder.name)[1]
    table = {"version": version, "kinds": {}, "types": {}}
    for document in documents:
        table["kinds"][f"{document['apiVersion']} {document['kind']}"] = document["kind"]
    for kind in table["kinds"].values():
        table["types"][kind] = fields_of(by_name[kind])
    while missing := unknown_types(documents, table):
        for name in missing:
            table["types"][name] = fields_of(by_name[name])
    table["types"] = dict(sorted(table["types"].items()))
    return table


def unknown_types(documents, table):
    found = (re.match(r".*: (\w+) is not in .*: make it again", fault)
             for document in documents for fault in check(document, table))
    return {match[1] for match in found if match}


def main():
    import kustomization
    root = pathlib.Path(__file__).resolve().parents[2]
    documents = [o for path in sorted(root.glob("deploy/kubernetes/overlays/*"))
                 for o in kustomization.build(path) if ".k8s.io" in o["apiVersion"]
                 or "." not in o["apiVersion"].partition("/")[0]]
    json.dump(make(pathlib.Path(sys.argv[1]), documents), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
