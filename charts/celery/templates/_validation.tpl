{{/*
Everything that the schema cannot say well. Each `celery.problems.*` prints one line for a setting
that cannot work: the key, what is wrong, and the mend. celery.validate collects them and fails
once; helpers that make objects call it first, so nothing is rendered from values that are wrong.
*/}}
{{- define "celery.validate" -}}
{{- $lines := list -}}
{{- range $part := list "image" "queues" "workers" "beat" "broker" "rabbitmq" "results" "config" "exporter" "autoscaling" "plain" "pods" "passwords" "network" "monitoring" "flower" "cluster" -}}
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
{{- if not .Values.image.repository }}
image.repository: missing. Name the image that holds the app, e.g. registry.example/shop
{{- end }}
{{- include "celery.problems.imageName" (list "image" .Values.image) }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $name) }}
fullnameOverride: "{{ $name }}" cannot begin an object's name. Use lower-case letters, digits and "-".
{{- else if gt (len $name) 46 }}
fullnameOverride: "{{ $name }}" has {{ len $name }} characters, 46 is the most that the objects' names leave room for. Set a shorter one.
{{- end }}
{{- range $name, $value := .Values.env }}
{{- include "celery.problems.envName" (list "env" $name) }}
{{- end }}
{{- end -}}

{{/* Takes a list: the key, and the image. */}}
{{- define "celery.problems.imageName" -}}
{{- $key := first . }}
{{- with last . }}
{{- if or (contains "@" .repository) (contains ":" (last (splitList "/" .repository))) }}
{{ $key }}.repository: "{{ .repository }}" has a tag or digest in it. Put that into {{ $key }}.tag or {{ $key }}.digest.
{{- end }}
{{- if not (kindIs "string" .tag) }}
{{ $key }}.tag: {{ .tag | toJson }} was read as a number. Quote it, or give it by --set-string.
{{- else if not (or .tag .digest) }}
{{ $key }}.tag: missing. Set a tag or {{ $key }}.digest; an image that can change under one name cannot be rolled back.
{{- end }}
{{- if and .digest (not (regexMatch "^sha256:[0-9a-f]{64}$" .digest)) }}
{{ $key }}.digest: "{{ .digest }}" is not a digest. Write it as sha256: and 64 hexadecimal digits.
{{- end }}
{{- end }}
{{- end -}}

{{- define "celery.problems.envName" -}}
{{- $key := first . }}
{{- $name := last . }}
{{- if has $name (list "CELERY_BROKER_URL" "CELERY_BROKER_READ_URL" "CELERY_BROKER_WRITE_URL") }}
{{ $key }}.{{ $name }}: Celery would connect there, whatever broker says. Remove it and use broker.
{{- else if eq $name "CELERY_RESULT_BACKEND" }}
{{ $key }}.{{ $name }}: Celery would connect there, whatever resultBackend says. Remove it and use resultBackend.
{{- else if has $name (list "CELERY_APP" "CELERY_WORKER_GROUP" "CELERY_RUNTIME_DIR" "CELERY_RUNTIME_DRAIN_SECONDS") }}
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
{{- $sqs := eq .Values.broker.kind "sqs" }}
{{- range $name, $_ := .Values.queues }}
{{- $stem := $sqs | ternary (trimSuffix ".fifo" $name) $name }}
{{- if or (gt (len $name) 63) (not (regexMatch "^[A-Za-z0-9][A-Za-z0-9_-]*$" $stem)) }}
queues.{{ $name }}: not a name for a queue. Use up to 63 letters, digits, "_" and "-"; {{ $sqs | ternary "a dot in .fifo at the end only." "a dot would let a delayed task match two queues." }}
{{- else if or (eq $name "dlx") (hasPrefix "celery_delayed" $name) }}
queues.{{ $name }}: reserved for the broker's own exchanges. Choose another name.
{{- else if hasSuffix "-dead" $stem }}
queues.{{ $name }}: reserved for dead letters. Choose another name.
{{- end }}
{{- end }}
{{- end -}}
