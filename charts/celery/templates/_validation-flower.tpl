{{- define "celery.problems.flower" -}}
{{- $name := include "celery.fullname" . }}
{{- if .Values.flower.enabled }}
{{- if eq .Values.broker.kind "sqs" }}
flower.enabled: SQS has no events and no remote control: Flower would show nothing. Set it to false; the exporter's page shows queues and workers.
{{- end }}
{{- if regexMatch "^[0-9]" $name }}
fullnameOverride: "{{ $name }}-flower" cannot name a Service. Use a name that starts with a letter, or set flower.enabled to false.
{{- end }}
{{- range $key := list "USERNAME" "PASSWORD" "BASIC_AUTH" "UNAUTHENTICATED_API" }}
{{- if hasKey $.Values.env (printf "FLOWER_%s" $key) }}
env.FLOWER_{{ $key }}: set by the chart. Remove it and use flower.existingSecret.
{{- end }}
{{- end }}
{{- with .Values.flower.existingSecret }}
{{- $secret := (lookup "v1" "Secret" $.Release.Namespace .).data }}
{{- if $secret }}
{{- range $key := list "username" "password" }}
{{- if not (regexMatch "^[^:,]+$" (get $secret $key | default "" | b64dec)) }}
flower.existingSecret: the {{ $key }} in {{ $.Values.flower.existingSecret }} is missing, or has a ":" or "," in it, at which Flower would cut it. Set one without.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
