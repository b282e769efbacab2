"""As much of Kustomize as deploy/kubernetes uses: resources, components, namespace, images,
configMapGenerator without the hash, JSON patches. Anything else is an error."""

import copy
import pathlib

import yaml

KINDS = {("kustomize.config.k8s.io/v1beta1", "Kustomization"),
         ("kustomize.config.k8s.io/v1alpha1", "Component")}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FIELDS = {"apiVersion", "kind", "namespace", "resources", "components", "images", "patches",
          "configMapGenerator"}


class Broken(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Broken(message)


def documents(path):
    require(path.is_file(), f"{path}: does not exist")
    return [d for d in yaml.load_all(path.read_text(), LOADER) if d is not None]


def build(folder):
    """Every object of the overlay in `folder`, as `kubectl kustomize` would print it."""
    return apply(pathlib.Path(folder).resolve(), [])


def apply(folder, objects):
    (spec,) = documents(folder / "kustomization.yaml")
    where = folder / "kustomization.yaml"
    require((spec.get("apiVersion"), spec.get("kind")) in KINDS, f"{where}: apiVersion or kind")
    require(set(spec) <= FIELDS, f"{where}: unknown fields {sorted(set(spec) - FIELDS)}")
    for name in spec.get("resources", []):
        path = (folder / name).resolve()
        objects = objects + (build(path) if path.is_dir() else documents(path))
    objects = objects + [config_map(folder, entry) for entry in spec.get("configMapGenerator", [])]
    for name in spec.get("components", []):
        objects = apply((folder / name).resolve(), objects)
    for entry in spec.get("patches", []):
        chosen = [o for o in objects if o["kind"] == entry["target"]["kind"]
                  and o["metadata"]["name"] == entry["target"]["name"]]
        require(len(chosen) == 1, f"{where}: {entry['target']} selects {len(chosen)} objects")
        for operation in yaml.safe_load(entry["patch"]):
            patch(chosen[0], operation, where)
    for entry in spec.get("images", []):
        rename_image(objects, entry, where)
    if "namespace" in spec:
        for o in objects:
            if o["kind"] != "Namespace":
                o["metadata"]["namespace"] = spec["namespace"]
    return objects


def config_map(folder, entry):
    data = {}
    for file in entry["files"]:
        key, _, path = file.rpartition("=")
        found = (folder / path).resolve()
        require(found.is_file(), f"{folder}: {path} does not exist")
        require(folder in found.parents, f"{folder}: {path} is outside: Kustomize refuses it")
        data[key or found.name] = found.read_text()
    return {"apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": entry["name"], **copy.deepcopy(entry.get("options", {}))}}


def rename_image(objects, entry, where):
    found = False
    for container in (c for o in objects for c in containers(o)):
        name, _, tag = container["image"].partition(":")
        if name != entry["name"]:
            continue
        found = True
        tag = entry.get("newTag", tag)
        container["image"] = entry.get("newName", name) + (f":{tag}" if tag else "")
    require(found, f"{where}: no container has the image {entry['name']}")


def patch(document, operation, where):
    *parents, last = [part.replace("~1", "/").replace("~0", "~")
                      for part in operation["path"].split("/")[1:]]
    at = document
    for part in parents:
        at = at[int(part)] if isinstance(at, list) else at.get(part)
        require(at is not None, f"{where}: no {operation['path']}")
    key = last if isinstance(at, dict) or last == "-" else int(last)
    there = key in at if isinstance(at, dict) else key != "-" and key < len(at)
    value = copy.deepcopy(operation.get("value"))
    if operation["op"] == "test":
        require(there and at[key] == value, f"{where}: {operation['path']} is not {value}")
    elif operation["op"] == "replace":
        require(there, f"{where}: nothing to replace at {operation['path']}")
        at[key] = value
    else:
        require(operation["op"] == "add", f"{where}: {operation['op']}: not known here")
        if key == "-":
            at.append(value)
        else:
            require(not there, f"{where}: {operation['path']} is there already")
            at[key] = value


def pod_spec(o):
    return o.get("spec", {}).get("template", {}).get("spec")


def containers(o):
    spec = pod_spec(o) or {}
    return spec.get("initContainers", []) + spec.get("containers", [])
