{{- define "celery.problems.exporter" -}}
{{- $name := include "celery.fullname" . }}
{{- with .Values.exporter }}
{{- if .enabled }}
{{- if not .image.repository }}
exporter.image.repository: missing. Build images/exporter/Dockerfile and name the image, e.g. registry.example/celery-exporter, or set exporter.enabled to false.
{{- end }}
{{- include "celery.problems.imageName" (list "exporter.image" .image) }}
{{- if regexMatch "^[0-9]" $name }}
fullnameOverride: "{{ $name }}-exporter" cannot name a Service. Use a name that starts with a letter, or set exporter.enabled to false.
{{- end }}
{{- if and (eq .tasksFrom "workers") (not $.Values.runtime) }}
exporter.tasksFrom: workers need celery_runtime in the image, and runtime is false. Remove it for events.
{{- else if eq $.Values.broker.kind "sqs" }}
{{- if not $.Values.runtime }}
exporter.enabled: SQS has no events, and workers without celery_runtime tell nothing (runtime is false). Set exporter.enabled to false.
{{- else if eq .tasksFrom "events" }}
exporter.tasksFrom: SQS has no events. Remove it for workers.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "celery.problems.autoscaling" -}}
{{- $mode := .Values.autoscaling.mode }}
{{- if and (not .Values.runtime) (has $mode (list "keda" "hpa")) }}
autoscaling.mode: {{ $mode }} needs celery_runtime in the image, whose workers say what they run, and runtime is false. Use keda-triggers, queue-length or cpu.
{{- else if and (not .Values.exporter.enabled) (has $mode (list "keda" "hpa")) }}
autoscaling.mode: {{ $mode }} is decided by the exporter, and exporter.enabled is false. Set it to true, or use keda-triggers, queue-length or cpu.
{{- end }}
{{- if eq $mode "queue-length" }}
{{- if ne .Values.broker.kind "rabbitmq" }}
autoscaling.mode: queue-length is a metric of RabbitMQ, and broker.kind is {{ .Values.broker.kind }}. Use keda, hpa or keda-triggers.
{{- else if and .Values.autoscaling.externalMetricsApi (not .Values.runtime) }}
autoscaling.externalMetricsApi: is served by an exporter that knows the worker pods, and runtime is false. Set it to false where another adapter serves the metric, or use keda-triggers or cpu.
{{- else if and .Values.autoscaling.externalMetricsApi (not .Values.exporter.enabled) }}
autoscaling.externalMetricsApi: is served by the exporter, and exporter.enabled is false. Set it to true, or externalMetricsApi to false where another adapter serves the metric.
{{- end }}
{{- end }}
{{- if and (eq (include "celery.servesApi" .) "true") .Values.autoscaling.tls.existingSecret (not .Values.autoscaling.tls.ca) }}
autoscaling.tls.ca: missing. The API server has to verify the certificate in {{ .Values.autoscaling.tls.existingSecret }}: give its authority in PEM, or remove autoscaling.tls.existingSecret.
{{- end }}
{{- if eq $mode "keda-triggers" }}
{{- include "celery.problems.kedaTriggers" . }}
{{- end }}
{{- $scaled := 0 }}
{{- range $group, $worker := include "celery.mergedWorkers" . | fromJson }}
{{- if $worker.autoscaling }}
{{- $scaled = add1 $scaled }}
{{- include "celery.problems.scaledGroup" (dict "key" (printf "workers.%s" $group) "worker" $worker "stated" (get $.Values.workers $group) "mode" $mode) }}
{{- end }}
{{- end }}
{{- if and (ne $mode "none") (not $scaled) }}
autoscaling.mode: {{ $mode }}, but it would scale no group. Give one autoscaling: {minReplicas: 1, maxReplicas: 20, queueWaitSeconds: 10}, or set autoscaling.mode to none.
{{- end }}
{{- end -}}

{{- define "celery.problems.kedaTriggers" -}}
{{- with .Values.broker }}
{{- if and (eq .kind "redis") (eq .mode "existing") (not (or .host .sentinel)) }}
autoscaling.mode: keda-triggers cannot take Redis' address from a Secret's url. Set broker.host and the key password, or use keda.
{{- else if and (eq .kind "sqs") (not .region) }}
autoscaling.mode: keda-triggers needs broker.region on SQS, which runtime: false does not take. Use cpu, or an image with celery_runtime.
{{- end }}
{{- end }}
{{- end -}}

{{/* One group with autoscaling. Takes a dict: key, worker (merged), stated (as written), mode. */}}
{{- define "celery.problems.scaledGroup" -}}
{{- $key := printf "%s.autoscaling" .key }}
{{- $missing := list }}
{{- range $name := list "minReplicas" "maxReplicas" "queueWaitSeconds" }}
{{- if kindIs "invalid" (index $.worker.autoscaling $name) }}{{ $missing = append $missing $name }}{{ end }}
{{- end }}
{{- with .worker.autoscaling }}
{{- if $missing }}
{{ $key }}: {{ join " and " $missing }} missing. Write it as {minReplicas: 1, maxReplicas: 20, queueWaitSeconds: 10}: how few, how many, and how long a message may wait.
{{- else if gt (int64 .minReplicas) (int64 .maxReplicas) }}
{{ $key }}.minReplicas: {{ .minReplicas }} is more than maxReplicas, {{ .maxReplicas }}. Lower it, or raise maxReplicas.
{{- else if le (float64 .queueWaitSeconds) 0.0 }}
{{ $key }}.queueWaitSeconds: {{ .queueWaitSeconds }} cannot be kept: starting a task takes time. Say how many seconds a message may wait, e.g. 10
{{- end }}
{{- if and (eq (int64 .minReplicas) 0) (not $missing) (has $.mode (list "hpa" "queue-length" "cpu")) }}
{{ $key }}.minReplicas: 0, but the HPA does not start what has no pod (autoscaling.mode: {{ $.mode }}). Use 1 or more, or autoscaling.mode keda or keda-triggers.
{{- end }}
{{- end }}
{{- if ne .mode "none" }}
{{- if not (kindIs "invalid" .stated.replicas) }}
{{ .key }}.replicas: would fight with autoscaling (autoscaling.mode: {{ .mode }}). Remove it and use {{ $key }}.minReplicas.
{{- end }}
{{- if and (eq .mode "cpu") (not (dig "resources" "requests" "cpu" "" .worker)) }}
{{ .key }}.resources.requests.cpu: missing, and autoscaling.mode cpu counts in shares of it. Set it, e.g. 500m
{{- end }}
{{- end }}
{{- end -}}
