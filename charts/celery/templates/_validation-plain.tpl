{{/* What only celery_runtime can do. */}}
{{- define "celery.problems.plain" -}}
{{- if not .Values.runtime }}
{{- $broker := .Values.broker }}
{{- if .Values.config }}
config: needs celery_runtime in the image, and runtime is false. Set it in the app.
{{- end }}
{{- range $name, $queue := .Values.queues }}
{{- if $queue | default dict | len }}
queues.{{ $name }}.deliveryLimit: needs celery_runtime in the image, and runtime is false. Remove it.
{{- end }}
{{- end }}
{{- if include "celery.schedule" . | fromJson }}
beat.schedule: needs celery_runtime in the image, and runtime is false. Use the app's own beat_schedule.
{{- end }}
{{- range $section := list "broker" "resultBackend" }}
{{- $given := get $.Values $section }}
{{- range $key := list "host" "password" }}
{{- if and (get $given $key) (eq $given.mode "existing") }}
{{ $section }}.{{ $key }}: needs celery_runtime in the image, which encodes the password, and runtime is false. Put the whole URL under the key url and name that Secret in {{ $section }}.existingSecret.
{{- end }}
{{- end }}
{{- if $given.tls }}
{{ $section }}.tls: needs celery_runtime in the image, and runtime is false. Put the whole URL, which says it, under the key url.
{{- end }}
{{- end }}
{{- range $key := list "keyPrefix" "sentinel" "region" "endpoint" "queuePrefix" "queueUrls" }}
{{- if include "celery.isSet" (get $broker $key) }}
broker.{{ $key }}: needs celery_runtime in the image, and runtime is false. Set it in the app's broker_transport_options.
{{- end }}
{{- end }}
{{- with $broker.visibilityTimeoutSeconds }}
{{- $longest := include "celery.maxTaskSeconds" $ | int64 }}
{{- if eq $broker.kind "sqs" }}
broker.visibilityTimeoutSeconds: needs celery_runtime in the image, and runtime is false. Set it in the app's broker_transport_options.
{{- else if le (int64 .) $longest }}
broker.visibilityTimeoutSeconds: {{ int64 . }} would deliver a task again while it runs for up to {{ $longest }} s (maxTaskSeconds); only celery_runtime renews it. Use more than {{ $longest }}, or remove it.
{{- end }}
{{- end }}
{{- if and (eq (include "celery.embedsRedis" .) "true") (dig "tls" "enabled" false (.Values.redis | deepCopy)) }}
redis.tls.enabled: needs celery_runtime in the image, which verifies the certificate, and runtime is false. Set it to false.
{{- end }}
{{- if $.Values.resultBackend.sentinel }}
resultBackend.sentinel: needs celery_runtime in the image, and runtime is false. Put the whole URL under the key url, and the master's name into the app's result_backend_transport_options.
{{- end }}
{{- include "celery.problems.plainPassword" (list . "rabbitmq" (include "celery.embedsRabbitmq" .)) }}
{{- include "celery.problems.plainPassword" (list . "redis" (include "celery.embedsRedis" .)) }}
{{- end }}
{{- end -}}

{{/* An embedded server's Secret of the user's, where it can be seen. Takes a list: root, subchart, in use. */}}
{{- define "celery.problems.plainPassword" -}}
{{- $root := first . }}
{{- $subchart := index . 1 }}
{{- $name := dig "auth" "existingSecret" "" (get $root.Values $subchart | deepCopy) }}
{{- if and $name (eq (last .) "true") }}
{{- range $key, $value := pick ((lookup "v1" "Secret" $root.Release.Namespace $name).data | default dict) "username" "password" }}
{{- if not (regexMatch "^[A-Za-z0-9._~-]+$" (b64dec $value)) }}
{{ $subchart }}.auth.existingSecret: the {{ $key }} in {{ $name }} would have to be encoded in a URL, and runtime is false. Use letters, digits, ".", "_", "~" and "-" in it.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
