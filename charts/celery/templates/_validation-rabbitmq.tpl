{{/* What RabbitMQ's chart cannot know: who uses it, and how. */}}
{{- define "celery.problems.rabbitmq" -}}
{{- $mode := .Values.broker.mode }}
{{- if and (eq $mode "operator") (ne .Values.broker.kind "rabbitmq") }}
broker.mode: operator, but broker.kind is {{ .Values.broker.kind }}; the operator runs RabbitMQ alone. Use another mode.
{{- end }}
{{- if eq (include "celery.embedsRabbitmq" .) "true" }}
{{- with .Subcharts.rabbitmq }}
{{- if ne .Values.operator (eq $mode "operator") }}
rabbitmq.operator: {{ .Values.operator }}, but broker.mode is {{ $mode }}. Set {{ .Values.operator | ternary "broker.mode to operator, or rabbitmq.operator to false" "rabbitmq.operator to true, or broker.mode to embedded" }}.
{{- end }}
{{- if and .Values.tls.enabled (not $.Values.runtime) }}
rabbitmq.tls.enabled: needs celery_runtime in the image, because a URL cannot name the authority, and runtime is false. Set it to false.
{{- end }}
{{- if and .Values.tls.enabled (eq $.Values.autoscaling.mode "keda-triggers") }}
rabbitmq.tls.enabled: KEDA's own trigger cannot be told the authority. Use autoscaling.mode keda, or set it to false.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
