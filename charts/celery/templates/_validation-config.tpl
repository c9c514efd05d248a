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
{{- if and (eq .Values.broker.kind "sqs") .Values.config.worker_enable_remote_control }}
config.worker_enable_remote_control: SQS has no remote control. Remove it, or use another broker.kind.
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
