{{/*
Everything that the schema cannot say well. Each `celery.problems.*` prints one line for a setting
that cannot work: the key, what is wrong, and the mend. celery.validate collects them and fails
once; helpers that make objects call it first, so nothing is rendered from values that are wrong.
*/}}
{{- define "celery.validate" -}}
{{- $lines := list -}}
{{- range $part := list "image" "queues" "workers" "beat" "broker" "results" "config" -}}
{{- $lines = concat $lines (include (printf "celery.problems.%s" $part) $ | splitList "\n") -}}
{{- end -}}
{{- range $subchart := list "rabbitmq" "redis" -}}
{{- with get $.Subcharts $subchart -}}
{{- range include (printf "%s.problems" $subchart) . | splitList "\n" | compact -}}
{{- $lines = append $lines (printf "%s.%s" $subchart .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with compact $lines -}}
{{- printf "the values cannot work:\n  - %s\n" (join "\n  - " .) | fail -}}
{{- end -}}
{{- end -}}

{{- define "celery.problems.image" -}}
{{- $name := include "celery.fullname" . }}
{{- if not .Values.app }}
app: missing. Name the Celery app to load, e.g. app: shop.celery:app
{{- else if not (regexMatch "^[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_.]*)?$" .Values.app) }}
app: "{{ .Values.app }}" is not a module with an app. Write it as module:attribute, e.g. shop.celery:app
{{- end }}
{{- with .Values.image }}
{{- if not .repository }}
image.repository: missing. Name the image that holds the app, e.g. registry.example/shop
{{- else if or (contains "@" .repository) (contains ":" (last (splitList "/" .repository))) }}
image.repository: "{{ .repository }}" has a tag or digest in it. Put that into image.tag or image.digest.
{{- end }}
{{- if not (kindIs "string" .tag) }}
image.tag: {{ .tag | toJson }} was read as a number. Quote it, or give it by --set-string.
{{- else if not (or .tag .digest) }}
image.tag: missing. Set a tag or image.digest; an image that can change under one name cannot be rolled back.
{{- end }}
{{- if and .digest (not (regexMatch "^sha256:[0-9a-f]{64}$" .digest)) }}
image.digest: "{{ .digest }}" is not a digest. Write it as sha256: and 64 hexadecimal digits.
{{- end }}
{{- end }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $name) }}
fullnameOverride: "{{ $name }}" cannot begin an object's name. Use lower-case letters, digits and "-".
{{- else if gt (len $name) 46 }}
fullnameOverride: "{{ $name }}" has {{ len $name }} characters, 46 is the most that the objects' names leave room for. Set a shorter one.
{{- end }}
{{- range $name, $value := .Values.env }}
{{- include "celery.problems.envName" (list "env" $name) }}
{{- end }}
{{- end -}}

{{- define "celery.problems.envName" -}}
{{- $key := first . }}
{{- $name := last . }}
{{- if has $name (list "CELERY_APP" "CELERY_WORKER_GROUP" "CELERY_RUNTIME_DIR") }}
{{ $key }}.{{ $name }}: set by the chart. Remove it{{ if eq $name "CELERY_APP" }} and use app{{ end }}.
{{- else if not (regexMatch "^[A-Za-z_][A-Za-z0-9_]*$" $name) }}
{{ $key }}.{{ $name }}: not a name for an environment variable. Use letters, digits and "_".
{{- end }}
{{- end -}}

{{- define "celery.problems.queues" -}}
{{- if not .Values.queues }}
queues: empty. Declare every queue that tasks are sent to, e.g. queues: {default: {}}
{{- else if not (hasKey .Values.queues .Values.defaultQueue) }}
defaultQueue: "{{ .Values.defaultQueue }}" is not declared. Add it under queues, or name one of: {{ keys .Values.queues | sortAlpha | join ", " }}
{{- end }}
{{- range $name, $_ := .Values.queues }}
{{- if or (gt (len $name) 63) (not (regexMatch "^[A-Za-z0-9][A-Za-z0-9_-]*$" $name)) }}
queues.{{ $name }}: not a name for a queue. Use up to 63 letters, digits, "_" and "-"; a dot would let a delayed task match two queues.
{{- else if or (eq $name "dlx") (hasPrefix "celery_delayed" $name) }}
queues.{{ $name }}: reserved for the broker's own exchanges. Choose another name.
{{- end }}
{{- end }}
{{- end -}}

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
{{- if and (eq .root.Values.broker.mode "embedded") .root.Subcharts.rabbitmq }}
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

{{- define "celery.problems.broker" -}}
{{- include "celery.problems.mode" (dict "section" "broker" "subchart" "rabbitmq" "root" .
  "keys" (list "host" "port" "vhost" "username" "password" "existingSecret")) }}
{{- with .Values.broker }}
{{- if eq .mode "existing" }}
{{- if not (or .host .existingSecret) }}
broker.host: missing. Say where the broker is, or put its whole URL into a Secret under the key url and name that in broker.existingSecret.
{{- else if and .host (not (or .password .existingSecret)) }}
broker.existingSecret: missing. Name a Secret with the keys username and password.
{{- end }}
{{- if and .password (not .username) }}
broker.username: missing. A password needs its user.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "celery.problems.results" -}}
{{- include "celery.problems.mode" (dict "section" "resultBackend" "subchart" "redis" "root" .
  "keys" (list "host" "port" "database" "password" "existingSecret")) }}
{{- with .Values.resultBackend }}
{{- if eq .mode "existing" }}
{{- if not (or .host .existingSecret) }}
resultBackend.host: missing. Say where Redis is, or put its whole URL into a Secret under the key url and name that in resultBackend.existingSecret.
{{- else if and .host (not (or .password .existingSecret)) }}
resultBackend.existingSecret: missing. Name a Secret with the key password; for a Redis without one, leave host empty and name a Secret with the key url.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
What holds for both connections. Takes a dict: section (the key), subchart (what embeds it), keys
(those that say where an existing one is), root.
*/}}
{{- define "celery.problems.mode" -}}
{{- $section := .section }}
{{- $given := get .root.Values $section }}
{{- $enabled := (get .root.Values .subchart).enabled }}
{{- if and (eq $given.mode "embedded") (not $enabled) }}
{{ .subchart }}.enabled: false, but {{ $section }}.mode is embedded. Set {{ .subchart }}.enabled to true, or {{ $section }}.mode to existing.
{{- else if and (eq $given.mode "existing") $enabled }}
{{ .subchart }}.enabled: true, but {{ $section }}.mode is existing and would not use it. Set {{ .subchart }}.enabled to false, or {{ $section }}.mode to embedded.
{{- end }}
{{- range $key := .keys }}
{{- if and (eq $given.mode "embedded") (not (has (get $given $key) (list nil ""))) }}
{{ $section }}.{{ $key }}: has no effect while {{ $section }}.mode is embedded. Remove it, or set the mode to existing.
{{- end }}
{{- end }}
{{- if contains "://" ($given.host | default "") }}
{{ $section }}.host: holds a URL. Give the host name alone, or put the URL into a Secret under the key url and name that in {{ $section }}.existingSecret.
{{- end }}
{{- if and $given.existingSecret (or $given.password $given.username) }}
{{ $section }}.existingSecret: set together with an inline {{ empty $given.password | ternary "username" "password" }}. Keep one of them.
{{- end }}
{{- if and $given.existingSecret (not $given.host) (eq $given.mode "existing") }}
{{- range $key := list "port" "vhost" "database" }}
{{- if not (has (get $given $key) (list nil "")) }}
{{ $section }}.{{ $key }}: has no effect without {{ $section }}.host, because the Secret's url says it. Remove it, or set the host.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "celery.problems.config" -}}
{{- $secret := "would be readable in a ConfigMap, and the runtime assembles it from Secrets. Use" }}
{{- $owned := dict
  "broker_url" (print $secret " broker.") "broker_read_url" (print $secret " broker.") "broker_write_url" (print $secret " broker.")
  "result_backend" (print $secret " resultBackend.") "redbeat_redis_url" (print $secret " resultBackend.")
  "beat_schedule" "is made from another key. Use beat.schedule."
  "task_queues" "is made from another key. Use queues."
  "task_default_queue" "is made from another key. Use defaultQueue."
  "task_time_limit" "has no effect beside the group's own limit. Use maxTaskSeconds."
  "task_soft_time_limit" "has no effect beside the group's own limit. Use maxTaskSeconds."
  "worker_concurrency" "has no effect beside the group's own. Use concurrency."
  "worker_pool" "has no effect beside the group's own. Use pool."
  "worker_max_tasks_per_child" "has no effect on other groups than those that state it. Use maxTasksPerChild." }}
{{- range $name, $value := .Values.config }}
{{- if hasKey $owned $name }}
config.{{ $name }}: {{ get $owned $name }}
{{- else if not (regexMatch "^[a-z][a-z0-9_]*$" $name) }}
config.{{ $name }}: not a setting's name. Celery's settings are lower case, without a prefix, e.g. task_routes
{{- end }}
{{- end }}
{{- $routes := .Values.config.task_routes }}
{{- if kindIs "map" $routes }}
{{- range $task, $route := $routes }}
{{- $queue := kindIs "map" $route | ternary $route (dict "queue" $route) }}
{{- $queue = get $queue "queue" }}
{{- if and $queue (kindIs "string" $queue) (not (hasKey $.Values.queues $queue)) }}
config.task_routes.{{ $task }}: "{{ $queue }}" is not declared. Add it under queues, or name one of: {{ keys $.Values.queues | sortAlpha | join ", " }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
