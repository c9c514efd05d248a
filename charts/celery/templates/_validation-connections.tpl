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
