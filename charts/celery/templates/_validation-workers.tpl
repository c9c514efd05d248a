{{- define "celery.problems.workers" -}}
{{- $workers := include "celery.mergedWorkers" . | fromJson }}
{{- if not $workers }}
workers: empty. Add a group, e.g. workers: {main: {queues: [{{ .Values.defaultQueue }}]}}
{{- end }}
{{- range $name, $_ := .Values.workerDefaults.env }}
{{- include "celery.problems.envName" (list "workerDefaults.env" $name) }}
{{- end }}
{{- range $group, $worker := $workers }}
{{- $key := printf "workers.%s" $group }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $group) }}
{{ $key }}: not a name for a Deployment. Use lower-case letters, digits and "-".
{{- else if gt (len $worker.name) 63 }}
{{ $key }}: makes the name {{ $worker.name }}, {{ len $worker.name }} characters of the 63 allowed. Shorten the group's name or set fullnameOverride.
{{- end }}
{{- include "celery.problems.group" (dict "key" $key "worker" $worker "stated" (get $.Values.workers $group) "root" $) }}
{{- end }}
{{- end -}}

{{/* One group. Takes a dict: key, worker (merged), stated (as written), root. */}}
{{- define "celery.problems.group" -}}
{{- $key := .key }}
{{- $worker := .worker }}
{{- $queues := .root.Values.queues }}
{{- $seconds := int64 $worker.maxTaskSeconds }}
{{- $grace := int64 $worker.terminationGracePeriodSeconds }}
{{- if not $worker.queues }}
{{ $key }}.queues: empty. Name the queues that the group consumes{{ with $queues }}, of: {{ keys . | sortAlpha | join ", " }}{{ end }}
{{- end }}
{{- range $queue := $worker.queues | default list | uniq }}
{{- if not (hasKey $queues $queue) }}
{{ $key }}.queues: "{{ $queue }}" is not declared. Add it under queues, or name one of: {{ keys $queues | sortAlpha | join ", " }}
{{- end }}
{{- end }}
{{- if ne (len ($worker.queues | default list)) (len ($worker.queues | default list | uniq)) }}
{{ $key }}.queues: names a queue twice. Remove one.
{{- end }}
{{- if lt (int64 $worker.concurrency) 1 }}
{{ $key }}.concurrency: {{ $worker.concurrency }} runs no task. Use 1 or more; to stop the group, set replicas to 0.
{{- end }}
{{- if lt $seconds 2 }}
{{ $key }}.maxTaskSeconds: {{ $worker.maxTaskSeconds }} leaves no time to work. Use 2 or more, the longest that one task may take.
{{- end }}
{{- if le $grace $seconds }}
{{ $key }}.terminationGracePeriodSeconds: {{ $grace }} would kill a task that may run for {{ $seconds }} s (maxTaskSeconds). Use more than {{ $seconds }}, or remove the key for {{ add $seconds 30 }}.
{{- end }}
{{- if and (eq $worker.pool "gevent") (not (kindIs "invalid" .stated.maxTasksPerChild)) }}
{{ $key }}.maxTasksPerChild: gevent has no child processes to replace. Remove it, or use pool: prefork.
{{- end }}
{{- if and (eq .root.Values.broker.kind "sqs") (gt $seconds 43140) }}
{{ $key }}.maxTaskSeconds: {{ $seconds }} is longer than SQS can hide a message, with a margin. Use 43140 or less, or another broker.kind.
{{- end }}
{{- if and (eq (include "celery.embedsRabbitmq" .root) "true") .root.Subcharts.rabbitmq }}
{{- $timeout := int64 .root.Values.rabbitmq.consumerTimeoutSeconds }}
{{- if le $timeout (add $seconds 30) }}
{{ $key }}.maxTaskSeconds: {{ $seconds }} is too long for rabbitmq.consumerTimeoutSeconds ({{ $timeout }}): the broker would deliver the task again while it runs. Set rabbitmq.consumerTimeoutSeconds to more than {{ add $seconds 30 }}.
{{- end }}
{{- end }}
{{- range $name, $_ := .stated.env }}
{{- include "celery.problems.envName" (list (printf "%s.env" $key) $name) }}
{{- end }}
{{- end -}}

{{- define "celery.problems.beat" -}}
{{- $schedule := include "celery.schedule" . | fromJson }}
{{- if hasKey .Values.beat "replicas" }}
beat.replicas: exactly one beat runs; with two, every schedule would fire twice. Remove the key.
{{- end }}
{{- if and $schedule (not .Values.beat.enabled) }}
beat.schedule: has entries, but beat.enabled is false and nothing would send them. Set beat.enabled to true, or remove the entries.
{{- end }}
{{- if eq .Values.beat.store "redis" }}
{{- range $key, $value := .Values.beat.volume }}
{{- if $value }}
beat.volume.{{ $key }}: has no effect while beat.store is redis. Remove it, or set beat.store to volume.
{{- end }}
{{- end }}
{{- else }}
{{- range $name, $_ := .Values.config }}
{{- if hasPrefix "redbeat_" $name }}
config.{{ $name }}: has no effect while beat.store is volume. Remove it, or set beat.store to redis.
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $entry := $schedule }}
{{- $key := printf "beat.schedule.%s" $name }}
{{- if not $entry.task }}
{{ $key }}.task: missing. Name the task to send, e.g. shop.tasks.reconcile_orders
{{- end }}
{{- if eq (hasKey $entry "every") (hasKey $entry "cron") }}
{{ $key }}: needs exactly one of every (seconds) and cron, e.g. every: 10 or cron: "0 3 * * *"
{{- else if and (hasKey $entry "every") (lt (float64 $entry.every) 1.0) }}
{{ $key }}.every: {{ $entry.every }} is too often. Give the seconds between two runs, 1 or more.
{{- else if and (hasKey $entry "cron") (ne (len (regexSplit " +" (trim $entry.cron) -1)) 5) }}
{{ $key }}.cron: "{{ $entry.cron }}" does not have five fields. Write minute, hour, day, month and weekday, e.g. "0 3 * * *"
{{- end }}
{{- if and $entry.queue (not (hasKey $.Values.queues $entry.queue)) }}
{{ $key }}.queue: "{{ $entry.queue }}" is not declared. Add it under queues, or name one of: {{ keys $.Values.queues | sortAlpha | join ", " }}
{{- end }}
{{- end }}
{{- end -}}
