{{/*
runtime: false, for an image with Celery alone. What celery_runtime reads from its volume is given by
environment variables and on the command line, as far as Celery takes it there.
*/}}

{{/*
The URLs, under names that Celery puts before the app's own configuration. The parts come first:
Kubernetes puts in what is already defined, and encodes nothing.
*/}}
{{- define "celery.urlEnv" -}}
{{- $names := dict "broker/url" "CELERY_BROKER_URL" "results/url" "CELERY_RESULT_BACKEND" }}
{{- range $secret := include "celery.credentials" . | fromJsonArray }}
{{- range $key := $secret.keys }}
{{- $path := printf "%s/%s" $secret.folder $key }}
- name: {{ get $names $path | default ($path | replace "/" "_" | upper) }}
  valueFrom:
    secretKeyRef: {name: {{ $secret.name }}, key: {{ $key }}}
{{- end }}
{{- end }}
{{- with include "celery.plainBrokerUrl" . }}
- name: CELERY_BROKER_URL
  value: {{ . }}
{{- end }}
{{- if eq .Values.resultBackend.mode "embedded" }}
{{- with include "celery.resultsEndpoint" . | fromJson }}
- name: CELERY_RESULT_BACKEND
  value: redis://{{ .username }}:$(RESULTS_PASSWORD)@{{ .host }}:{{ .port }}/{{ .database }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Empty where a Secret holds the whole URL. */}}
{{- define "celery.plainBrokerUrl" -}}
{{- $endpoint := include "celery.brokerEndpoint" . | fromJson -}}
{{- if eq (include "celery.embedsRabbitmq" .) "true" -}}
amqp://$(BROKER_USERNAME):$(BROKER_PASSWORD)@{{ $endpoint.host }}:{{ $endpoint.port }}/%2F
{{- else if eq .Values.broker.mode "embedded" -}}
redis://{{ $endpoint.username }}:$(BROKER_PASSWORD)@{{ $endpoint.host }}:{{ $endpoint.port }}/{{ $endpoint.database }}
{{- else if not .Values.broker.existingSecret -}}
sqs://
{{- end -}}
{{- end -}}

{{/*
Settings on a worker's command line, the last word over the app's. No publisher confirms: with
gevent and RabbitMQ a worker of Celery 5.7 can then stop for good.
*/}}
{{- define "celery.plainWorkerSettings" -}}
{{- $settings := list "task.acks_late=1" "task.reject_on_worker_lost=1" "worker.prefetch_multiplier=1"
  "broker.connection_retry_on_startup=1" "broker.connection_max_retries=(json)null" "broker.channel_error_retry=1"
  (printf "task.default_queue=%s" .Values.defaultQueue) -}}
{{- if eq .Values.broker.kind "redis" -}}
{{- $derived := add (include "celery.maxTaskSeconds" . | int64) 60 | max 3600 -}}
{{- $seconds := .Values.broker.visibilityTimeoutSeconds | default $derived | int64 -}}
{{- /* It replaces the app's own options, so only where kombu's hour is not what is wanted. */ -}}
{{- if ne $seconds 3600 -}}
{{- $settings = append $settings (printf "broker.transport_options=(dict){\"visibility_timeout\": %d}" $seconds) -}}
{{- end -}}
{{- end -}}
{{- $settings | toJson -}}
{{- end -}}

{{/*
Half a CPU-second and a message to every worker each time, so it asks rarely: a restart after five
silent minutes. Nothing on SQS, which has no remote control, and nothing for beat. Takes the dict of
celery.podSpec.
*/}}
{{- define "celery.plainProbes" -}}
{{- if and .group (ne .root.Values.broker.kind "sqs") -}}
{{- $ping := printf "exec celery -A %s inspect ping --timeout=10 --destination=\"%s@$HOSTNAME\"" .root.Values.app .group -}}
startupProbe:
  exec: {command: [sh, -c, {{ $ping | quote }}]}
  periodSeconds: 10
  timeoutSeconds: 20
  failureThreshold: {{ max 30 (div (add (int64 .process.startupSeconds) 9) 10) }}
livenessProbe:
  exec: {command: [sh, -c, {{ $ping | quote }}]}
  periodSeconds: 60
  timeoutSeconds: 20
  failureThreshold: 5
{{- end -}}
{{- end -}}
