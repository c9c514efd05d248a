{{/*
RabbitMQ takes its first user from its environment: a character beyond ASCII is another one to it
than to clients, and a newline at the end stays. A Secret of the user's is checked where it is seen.
*/}}
{{- define "celery.problems.passwords" -}}
{{- $name := dig "auth" "existingSecret" "" (.Values.rabbitmq | deepCopy) }}
{{- if and $name (eq (include "celery.embedsRabbitmq" .) "true") }}
{{- range $key, $value := pick ((lookup "v1" "Secret" .Release.Namespace $name).data | default dict) "username" "password" }}
{{- if not (regexMatch "^[ -~]+$" (b64dec $value)) }}
rabbitmq.auth.existingSecret: the {{ $key }} in {{ $name }} is not all printable ASCII, and RabbitMQ would let nobody in with it. Use letters, digits and signs, without a newline at the end.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
