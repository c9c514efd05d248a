{{- define "celery.problems.broker" -}}
{{- $broker := .Values.broker }}
{{- $known := include "celery.brokerKeys" . | fromJson }}
{{- include "celery.problems.subcharts" . }}
{{- if and (eq $broker.kind "sqs") (eq $broker.mode "embedded") }}
broker.mode: embedded, but only Amazon runs SQS. Set broker.mode to existing.
{{- end }}
{{- range $key := concat $known.rabbitmq $known.redis $known.sqs | uniq | sortAlpha }}
{{- if and (include "celery.isSet" (get $broker $key)) (not (has $key (get $known $broker.kind))) }}
broker.{{ $key }}: does not belong to broker.kind {{ $broker.kind }}. Remove it, or change the kind.
{{- end }}
{{- end }}
{{- if eq $broker.kind "sqs" }}
{{- include "celery.problems.sqs" . }}
{{- else }}
{{- include "celery.problems.server" (dict "section" "broker" "root" .
  "keys" (list "host" "port" "vhost" "database" "tls" "sentinel")
  "found" (or $broker.host $broker.sentinel)
  "missing" (eq $broker.kind "redis" | ternary "a Secret with the key password; for a Redis without one, leave host empty and name a Secret with the key url." "a Secret with the keys username and password.")) }}
{{- if and (eq $broker.kind "rabbitmq") $broker.password (not $broker.username) }}
broker.username: missing. A password needs its user.
{{- end }}
{{- end }}
{{- end -}}

{{- define "celery.problems.sqs" -}}
{{- range $key := list "username" "password" }}
{{- if get $.Values.broker $key }}
broker.{{ $key }}: an access key belongs into a Secret. Put its id and secret under username and password and name that in broker.existingSecret, or let serviceAccount.annotations give the pods an identity.
{{- end }}
{{- end }}
{{- with .Values.broker }}
{{- if not (or .region (not $.Values.runtime)) }}
broker.region: missing. Name the region of the queues, e.g. eu-central-1
{{- end }}
{{- if and .endpoint (not (regexMatch "^https?://" .endpoint)) }}
broker.endpoint: "{{ .endpoint }}" is not a URL. Begin it with http:// or https://, or leave it empty for Amazon's own.
{{- end }}
{{- if gt (int64 .visibilityTimeoutSeconds) 43200 }}
broker.visibilityTimeoutSeconds: {{ int64 .visibilityTimeoutSeconds }} is longer than SQS can hide a message. Use 43200 or less, or remove it for maxTaskSeconds + 60.
{{- end }}
{{- if .queueUrls }}
{{- range $queue := keys $.Values.queues | sortAlpha }}
{{- $stem := trimSuffix ".fifo" $queue }}
{{- range $name := list $queue (printf "%s-dead%s" $stem (trimPrefix $stem $queue)) }}
{{- if not (hasKey $.Values.broker.queueUrls $name) }}
broker.queueUrls.{{ $name }}: missing. Where one queue has a URL, every queue and its dead-letter queue need one.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "celery.problems.results" -}}
{{- include "celery.problems.server" (dict "section" "resultBackend" "root" .
  "keys" (list "host" "port" "database" "tls" "sentinel")
  "found" (or .Values.resultBackend.host .Values.resultBackend.sentinel)
  "missing" "a Secret with the key password; for a Redis without one, leave host empty and name a Secret with the key url.") }}
{{- end -}}

{{/*
What holds for both servers. Takes a dict: section (the key), keys (those that say where an existing
one is), found (whether they do), missing (the Secret that it needs then), root.
*/}}
{{- define "celery.problems.server" -}}
{{- $section := .section }}
{{- $found := .found }}
{{- $given := get .root.Values $section }}
{{- if ne $given.mode "existing" }}
{{- range $key := concat .keys (list "username" "password" "existingSecret") }}
{{- if include "celery.isSet" (get $given $key) }}
{{ $section }}.{{ $key }}: has no effect while {{ $section }}.mode is {{ $given.mode }}. Remove it, or set the mode to existing.
{{- end }}
{{- end }}
{{- else if not (or $found $given.existingSecret) }}
{{ $section }}.host: missing. Say where {{ eq $section "broker" | ternary "the broker" "Redis" }} is, or put its whole URL into a Secret under the key url and name that in {{ $section }}.existingSecret.
{{- else if and $found (not (or $given.password $given.existingSecret)) }}
{{ $section }}.existingSecret: missing. Name {{ .missing }}
{{- end }}
{{- range $key := list "host" "port" }}
{{- if and $given.sentinel (get $given $key) }}
{{ $section }}.{{ $key }}: has no effect beside {{ $section }}.sentinel, which finds the master. Remove it.
{{- end }}
{{- end }}
{{- if contains "://" ($given.host | default "") }}
{{ $section }}.host: holds a URL. Give the host name alone, or put the URL into a Secret under the key url and name that in {{ $section }}.existingSecret.
{{- end }}
{{- if and $given.existingSecret (or $given.password $given.username) }}
{{ $section }}.existingSecret: set together with an inline {{ empty $given.password | ternary "username" "password" }}. Keep one of them.
{{- end }}
{{- if and $given.existingSecret (not $found) (eq $given.mode "existing") }}
{{- range $key := list "port" "vhost" "database" }}
{{- if include "celery.isSet" (get $given $key) }}
{{ $section }}.{{ $key }}: has no effect without {{ $section }}.host, because the Secret's url says it. Remove it, or set the host.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The two subcharts: each is there when it is used, and only then. */}}
{{- define "celery.problems.subcharts" -}}
{{- $broker := .Values.broker }}
{{- if and (eq (include "celery.embedsRabbitmq" .) "true") (not .Values.rabbitmq.enabled) }}
rabbitmq.enabled: false, but broker.mode is {{ $broker.mode }}. Set rabbitmq.enabled to true, or broker.mode to existing.
{{- else if and .Values.rabbitmq.enabled (ne $broker.kind "rabbitmq") }}
rabbitmq.enabled: true, but broker.kind is {{ $broker.kind }} and would not use it. Set rabbitmq.enabled to false, or broker.kind to rabbitmq.
{{- else if and .Values.rabbitmq.enabled (eq $broker.mode "existing") }}
rabbitmq.enabled: true, but broker.mode is existing and would not use it. Set rabbitmq.enabled to false, or broker.mode to embedded.
{{- end }}
{{- if and (eq (include "celery.embedsRedis" .) "true") (not .Values.redis.enabled) }}
{{- $section := eq .Values.resultBackend.mode "embedded" | ternary "resultBackend" "broker" }}
redis.enabled: false, but {{ $section }}.mode is embedded. Set redis.enabled to true, or {{ $section }}.mode to existing.
{{- else if and .Values.redis.enabled (ne (include "celery.embedsRedis" .) "true") }}
redis.enabled: true, but resultBackend.mode is existing and would not use it. Set redis.enabled to false, or resultBackend.mode to embedded.
{{- end }}
{{- end -}}

{{/* "true" for a value that somebody has set: the defaults of values.yaml are these. */}}
{{- define "celery.isSet" -}}
{{- if not (has . (list nil "" false (dict))) }}true{{ end -}}
{{- end -}}
