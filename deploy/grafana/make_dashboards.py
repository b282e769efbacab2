#!/usr/bin/env python3
"""Writes the two dashboards of Grafana beside itself; `--check` says whether they are current.

usage: make_dashboards.py [--check]

A panel is a title and pairs of expression and legend. In expressions, JOB stands for the filter on
the chosen jobs. Metrics: docs/metrics.md; figures `train_job:...`: deploy/prometheus/rules.yml.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
JOB = 'train_job=~"$train_job"'
HEIGHTS = {"stat": 4}


def panel(title, *targets, unit="short", kind="timeseries", width=8, log=False, stack=False,
          text=""):
    return {"title": title, "targets": targets, "unit": unit, "kind": kind, "width": width,
            "log": log, "stack": stack, "text": text}


def stat(title, expression, unit="short", legend="", text=""):
    return panel(title, (expression, legend), unit=unit, kind="stat", width=4, text=text)


def rate(metric, by, filters=""):
    inside = f"JOB,{filters}" if filters else "JOB"
    return f"sum by ({by}) (rate({metric}{{{inside}}}[$__rate_interval]))"


def quantile(share, metric, by="", filters="JOB"):
    labels = f"le, {by}" if by else "le"
    return (f"histogram_quantile({share}, sum by ({labels}) "
            f"(rate({metric}_bucket{{{filters}}}[$__rate_interval])))")


def mean(metric, by, filters="JOB"):
    def part(name):
        return f"sum by ({by}) (rate({metric}_{name}{{{filters}}}[$__rate_interval]))"
    return f"{part('sum')} / {part('count')}"


def quantiles(metric, filters="JOB"):
    return [(quantile(share, metric, filters=filters), f"p{share * 100:.0f}")
            for share in (0.5, 0.95, 0.99)]


TRAINING = [
    ("Overview", [
        stat("Job", "drover_job_active{JOB} "
             "* on (train_job) group_left (name) drover_job_info{JOB}", legend="{{name}}",
             text="1 while it should make progress."),
        stat("Progress", "drover_job_progress_ratio{JOB}", "percentunit"),
        stat("Time left", "drover_job_expected_end_timestamp_seconds{JOB} - time()", "s"),
        stat("Step", "drover_job_step{JOB}"),
        stat("Last step", "drover_job_target_step{JOB}"),
        stat("Passes over the data", "drover_job_data_passes{JOB}"),
        stat("Samples per second", "train_job:drover_samples:rate1m{JOB}"),
        stat("Batch", "drover_global_batch_samples{JOB}", text="Samples in the last step."),
        stat("Goodput", "train_job:drover_goodput:ratio_rate5m{JOB}", "percentunit",
             text="Samples counted over samples computed."),
        stat("Workers", 'drover_workers{JOB,state="active"}'),
        stat("Age of the checkpoint",
             "time() - drover_checkpoint_last_success_timestamp_seconds{JOB}", "s"),
        stat("Digest of the weights", "drover_job_weights_digest{JOB}", "none",
             text="Low 48 bits, at the last checkpoint: two runs of one job agree or do not."),
    ]),
    ("Convergence", [
        panel("Loss", ("drover_loss{JOB}", "{{split}}"), log=True),
        panel("Evaluation", ("drover_eval_metric{JOB}", "{{metric}}"), unit="percentunit"),
        panel("Learning rate", ("drover_learning_rate{JOB}", "rate")),
    ]),
    ("Large batch", [
        panel("Gradient norm", ("drover_gradient_norm{JOB}", "before clipping"), log=True),
        panel("Weight and update norm", ("drover_weight_norm{JOB}", "weights"),
              ("drover_update_norm{JOB}", "update"), log=True),
        panel("Clipped and skipped steps",
              ("rate(drover_gradient_clips_total{JOB}[$__rate_interval])", "clipped"),
              ("rate(drover_step_skipped_total{JOB}[$__rate_interval])", "skipped: {{reason}}")),
    ]),
    ("Trust ratio", [
        panel("Trust ratios", ("sum by (le) (increase(drover_trust_ratio_bucket{JOB}"
                               "[$__rate_interval]))", "{{le}}"), kind="heatmap",
              text="Each tensor with a ratio counts once per step."),
        panel("Spread", *[(quantile(share, "drover_trust_ratio"), name) for share, name in
                          ((0.05, "p5"), (0.5, "median"), (0.95, "p95"))], log=True),
        panel("Share on a bound", (
            rate("drover_trust_ratio_limited_total", "train_job, limit")
            + " / on (train_job) group_left () "
            + rate("drover_trust_ratio_count", "train_job"), "{{limit}}"), unit="percentunit"),
        panel("Ten lowest", ('bottomk(10, drover_tensor_trust_ratio{JOB,tensor=~"$tensor"})',
                             "{{tensor}}"), log=True, width=12),
        panel("Ten highest", ('topk(10, drover_tensor_trust_ratio{JOB,tensor=~"$tensor"})',
                              "{{tensor}}"), log=True, width=12),
        *[panel(f"{what} norm of tensors",
                (f'topk(20, drover_tensor_{what.lower()}_norm{{JOB,tensor=~"$tensor"}})',
                 "{{tensor}}"), log=True) for what in ("Gradient", "Weight", "Update")],
    ]),
    ("Exactly once", [
        panel("Leaves counted, and steps times leaves",
              ("drover_leaves_counted_total{JOB}", "counted"),
              ("drover_steps_total{JOB} * drover_job_leaves{JOB}", "expected"),
              text="One line when each leaf of each step was counted once. Jobs of several batch "
                   "sizes have more than one number of leaves."),
        panel("Chunks", (rate("drover_chunks_total", "kind"), "{{kind}}"),
              (rate("drover_duplicate_chunks_total", "train_job"), "duplicates, not counted"),
              unit="cps"),
        panel("Refused chunks and messages",
              (rate("drover_refused_chunks_total", "reason"), "chunk: {{reason}}"),
              (rate("drover_refused_messages_total", "reason"), "message: {{reason}}"), unit="cps"),
        panel("Discarded samples", (rate("drover_samples_discarded_total", "reason"), "{{reason}}"),
              unit="cps", width=12),
        panel("Redo log", (rate("drover_redo_bytes_total", "shard"), "shard {{shard}}"),
              unit="Bps", width=12),
    ]),
    ("Time", [
        panel("Step", *quantiles("drover_step_duration_seconds"), unit="s"),
        panel("Step phases", (mean("drover_step_phase_duration_seconds", "phase"), "{{phase}}"),
              unit="s", stack=True, text="Until all gradients are there, redo logs, ratio, commit, apply."),
        panel("Worker phases",
              (rate("drover_worker_phase_duration_seconds_sum", "phase"), "{{phase}}"), unit="s",
              stack=True, text="Seconds per second over all lanes of all workers."),
        panel("Lateness", ("drover_worker_lateness_seconds{JOB}", "{{worker}}"), unit="s",
              text="The last work of a worker in a step, after that of the median worker."),
        panel("Phases of each worker", (
            rate("drover_worker_phase_duration_seconds_sum", "instance, phase"),
            "{{instance}} {{phase}}"), unit="s",
              text="What a late worker does longer than others."),
        panel("Lease", *quantiles("drover_lease_duration_seconds"), unit="s"),
    ]),
]

CLUSTER = [
    ("Overview", [
        stat("Targets up", 'sum(up{job=~"drover-.+"})'),
        stat("Shards ready", 'drover_shards{state="ready"}'),
        stat("Shards lost", 'drover_shards{state="lost"}'),
        stat("Workers active", 'sum(drover_workers{JOB,state="active"})'),
        stat("Workers lost", 'sum(drover_workers{JOB,state="lost"})'),
        stat("Jobs queued", 'drover_jobs{state="queued"}'),
    ]),
    ("Shards", [
        panel("Parameters", ('drover_shard_parameters{JOB,shard=~"$shard"}', "shard {{shard}}")),
        panel("Time to add a chunk, p95", (
            quantile(0.95, "drover_shard_accumulate_duration_seconds", "shard",
                     'JOB,shard=~"$shard"'), "shard {{shard}}"), unit="s"),
        panel("Leaves received of the open step", (
            'drover_shard_fill_ratio{JOB,shard=~"$shard"}', "shard {{shard}}"), unit="percentunit"),
        panel("Version of the weights", ('drover_shard_version{JOB,shard=~"$shard"}',
                                         "shard {{shard}}")),
        panel("Update", (mean("drover_optimizer_kernel_duration_seconds", "kernel, device",
                              'job=~"drover-.+"'), "{{kernel}} on {{device}}"), unit="s"),
        panel("Memory of weights and optimizer", (
            'drover_optimizer_state_bytes{JOB,shard=~"$shard"}', "shard {{shard}}"), unit="bytes"),
        panel("Redo write, p95", (quantile(0.95, "drover_redo_write_duration_seconds", "shard",
                                           'JOB,shard=~"$shard"'), "shard {{shard}}"), unit="s",
              width=12),
        panel("Publish, p95", (quantile(0.95, "drover_shard_publish_duration_seconds", "shard",
                                        'JOB,shard=~"$shard"'), "shard {{shard}}"), unit="s",
              width=12),
    ]),
    ("Workers", [
        panel("Workers", ("drover_workers{JOB}", "{{state}}")),
        panel("Samples per second", (
            'rate(drover_worker_samples_total{JOB,worker=~"$worker"}[$__rate_interval])',
            "{{worker}}")),
        panel("Model FLOP/s", (
            'rate(drover_worker_model_flops_total{JOB,worker=~"$worker"}[$__rate_interval])',
            "{{worker}}"), unit="flops",
              text="Matrix products that the model asks for, both passes."),
        panel("Share of the GPUs' peak", (
            'rate(drover_worker_model_flops_total{JOB,worker=~"$worker"}[$__rate_interval]) '
            '/ ignoring (device) drover_worker_peak_flops{JOB,worker=~"$worker"}', "{{worker}}"),
              unit="percentunit", text="Of GPUs whose peak is published; CPUs have no line."),
        panel("Collectives among the GPUs of a worker", (
            mean("drover_collective_duration_seconds", "instance, operation"),
            "{{instance}} {{operation}}"), unit="s"),
        panel("Memory of the GPUs", (
            'drover_device_memory_bytes{job=~"drover-.+"}',
            "{{job}} {{instance}} {{device}} {{kind}}"), unit="bytes"),
        panel("Lateness", ('drover_worker_lateness_seconds{JOB,worker=~"$worker"}', "{{worker}}"),
              unit="s"),
        panel("Waiting for data", (
            'rate(drover_worker_data_stall_seconds_total{JOB,worker=~"$worker"}'
            "[$__rate_interval])", "{{worker}}"), unit="percentunit"),
        panel("Steps behind", ('drover_worker_lag_steps{JOB,worker=~"$worker"}', "{{worker}}")),
        panel("Devices", ('drover_worker_info{JOB,worker=~"$worker"}',
                          "{{worker}}: {{numeric_class}}")),
    ]),
    ("Network", [
        panel("Tensor bytes on the wire", (
            rate("drover_wire_bytes_total", "job, direction, kind, encoding"),
            "{{job}} {{direction}} {{kind}} {{encoding}}"), unit="Bps"),
        panel("Bytes on the wire per byte of float32", (
            "train_job:drover_wire_per_payload:ratio_rate5m{JOB}", "ratio"),
              ("train_job:drover_duplicate_chunks:ratio_rate5m{JOB}", "duplicates")),
        panel("Streams dialled again", (
            'sum by (job, grpc_method) (rate(drover_rpc_retries_total{job=~"drover-.+"}'
            "[$__rate_interval]))", "{{job}} {{grpc_method}}"), unit="cps"),
    ]),
    ("Leases and takeovers", [
        panel("Leases", ("drover_leases{JOB}", "{{state}}")),
        panel("Leases granted and ended", (rate("drover_leases_granted_total", "kind"),
                                           "granted: {{kind}}"),
              (rate("drover_leases_ended_total", "outcome"), "ended: {{outcome}}"), unit="cps"),
        panel("Takeovers", ("increase(drover_job_takeovers_total{JOB}[$__rate_interval])",
                            "{{reason}}")),
    ]),
    ("Checkpoints, jobs and processes", [
        panel("Checkpoints", ("increase(drover_checkpoints_total{JOB}[$__rate_interval])",
                              "{{outcome}}")),
        panel("Time of a checkpoint", (mean("drover_checkpoint_duration_seconds", "phase"),
                                       "{{phase}}"), unit="s", stack=True),
        panel("Size of a checkpoint", ("drover_checkpoint_size_bytes{JOB}", "bytes"), unit="bytes"),
        panel("Jobs", ("drover_jobs", "{{state}}")),
        panel("Job store, p99", (quantile(0.99, "drover_job_store_operation_duration_seconds",
                                          "operation", 'job=~"drover-.+"'), "{{operation}}"),
              unit="s"),
        panel("Log messages", ('sum by (job, level) (rate(drover_log_messages_total'
                               '{job=~"drover-.+"}[$__rate_interval]))', "{{job}} {{level}}"),
              unit="cps"),
        panel("CPU", ('rate(process_cpu_seconds_total{job=~"drover-.+"}[$__rate_interval])',
                      "{{job}} {{instance}}"), unit="percentunit"),
        panel("Memory", ('process_resident_memory_bytes{job=~"drover-.+"}',
                         "{{job}} {{instance}}"), unit="bytes"),
        panel("Calls refused for their credentials", (
            'sum by (job, reason) (rate(drover_auth_failures_total{job=~"drover-.+"}'
            "[$__rate_interval]))", "{{job}} {{reason}}"), unit="cps", width=12),
        panel("Builds", ('count by (version, revision, role, cuda_version) (drover_build_info)',
                         "{{role}} {{version}} {{revision}} CUDA {{cuda_version}}"), width=12),
    ]),
]


def fields(panel_):
    custom = {"lineWidth": 1, "fillOpacity": 30 if panel_["stack"] else 0, "showPoints": "never",
              "stacking": {"mode": "normal" if panel_["stack"] else "none"},
              "scaleDistribution": {"type": "log", "log": 10} if panel_["log"]
              else {"type": "linear"}}
    defaults = {"unit": panel_["unit"]}
    if panel_["kind"] == "timeseries":
        defaults["custom"] = custom
    return {"defaults": defaults, "overrides": []}


def options(panel_):
    if panel_["kind"] == "stat":
        name = panel_["targets"][0][1]
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none",
                "graphMode": "none", "textMode": "value_and_name" if name else "value"}
    if panel_["kind"] == "heatmap":
        return {"calculate": False, "cellGap": 0, "color": {"mode": "scheme", "scheme": "Blues"},
                "yAxis": {"axisPlacement": "left"}, "legend": {"show": False}}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}


def targets(panel_):
    whole = {"format": "heatmap"} if panel_["kind"] == "heatmap" else {}
    return [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expression.replace(
        "JOB", JOB), "legendFormat": legend or "__auto", **whole}
            for i, (expression, legend) in enumerate(panel_["targets"])]


def place(sections):
    """Panels in rows of 24 columns, each section under a row of its own."""
    placed, y = [], 0
    for title, panels in sections:
        placed.append({"id": len(placed) + 1, "type": "row", "title": title, "collapsed": False,
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []})
        y, x, height = y + 1, 0, 0
        for panel_ in panels:
            if x + panel_["width"] > 24:
                x, y = 0, y + height
            height = HEIGHTS.get(panel_["kind"], 8)
            placed.append({
                "id": len(placed) + 1, "type": panel_["kind"], "title": panel_["title"],
                "description": panel_["text"], "datasource": SOURCE,
                "gridPos": {"x": x, "y": y, "w": panel_["width"], "h": height},
                "fieldConfig": fields(panel_), "options": options(panel_),
                "targets": targets(panel_)})
            x += panel_["width"]
        y += height
    return placed


def variable(name, label, query):
    return {"type": "query", "name": name, "label": label, "datasource": SOURCE, "refresh": 2,
            "query": {"query": query, "refId": name}, "definition": query, "sort": 1,
            "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"}}


def dashboard(uid, title, sections, variables):
    source = {"type": "datasource", "name": "datasource", "label": "Prometheus",
              "query": "prometheus", "current": {}}
    return {
        "uid": uid, "title": title, "tags": ["drover"], "schemaVersion": 37, "version": 1,
        "editable": False, "refresh": "5s", "time": {"from": "now-15m", "to": "now"},
        "timezone": "", "graphTooltip": 1, "annotations": {"list": []},
        "templating": {"list": [source, *variables]},
        "links": [{"type": "dashboards", "tags": ["drover"], "title": "Drover",
                   "keepTime": True, "includeVars": True, "asDropdown": False}],
        "panels": place(sections)}


def dashboards():
    job = variable("train_job", "Job", "label_values(drover_job_info, train_job)")
    tensor = variable("tensor", "Tensor",
                      f"label_values(drover_tensor_weight_norm{{{JOB}}}, tensor)")
    shard = variable("shard", "Shard", f"label_values(drover_shard_version{{{JOB}}}, shard)")
    worker = variable("worker", "Worker", f"label_values(drover_worker_info{{{JOB}}}, worker)")
    return {"training.json": dashboard("drover-training", "Drover: training", TRAINING,
                                       [job, tensor]),
            "cluster.json": dashboard("drover-cluster", "Drover: cluster", CLUSTER,
                                      [job, shard, worker])}


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    for name, content in dashboards().items():
        path, text = HERE / name, json.dumps(content, indent=1) + "\n"
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path} is not what make_dashboards.py writes: run it")


if __name__ == "__main__":
    main()
