{{/* The name of every object. Takes the chart's context, so a parent chart can ask for it too. */}}
{{- define "rabbitmq.fullname" -}}
{{- .Values.fullnameOverride | default (printf "%s-rabbitmq" .Release.Name) -}}
{{- end -}}

{{/* The Secret with username and password and, where no operator makes it, erlang-cookie. */}}
{{- define "rabbitmq.secretName" -}}
{{- if .Values.operator -}}
{{- include "rabbitmq.fullname" . }}-default-user
{{- else -}}
{{- .Values.auth.existingSecret | default (include "rabbitmq.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Where clients find AMQP and the management API. */}}
{{- define "rabbitmq.amqpPort" -}}{{ .Values.tls.enabled | ternary 5671 5672 }}{{- end -}}

{{- define "rabbitmq.managementPort" -}}{{ .Values.tls.enabled | ternary 15671 15672 }}{{- end -}}

{{- define "rabbitmq.managementUrl" -}}
{{ .Values.tls.enabled | ternary "https" "http" }}://{{ include "rabbitmq.fullname" . }}:{{ include "rabbitmq.managementPort" . }}
{{- end -}}

{{- define "rabbitmq.selectorLabels" -}}
app.kubernetes.io/name: rabbitmq
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: broker
{{- end -}}

{{/* The labels of the nodes' pods, whoever makes them. */}}
{{- define "rabbitmq.podLabels" -}}
{{- if .Values.operator -}}
app.kubernetes.io/name: {{ include "rabbitmq.fullname" . }}
app.kubernetes.io/component: rabbitmq
{{- else -}}
{{ include "rabbitmq.selectorLabels" . }}
{{- end -}}
{{- end -}}

{{- define "rabbitmq.labels" -}}
{{ include "rabbitmq.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "rabbitmq.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* A Kubernetes quantity in bytes; 0 when it is missing or cannot be read. */}}
{{- define "rabbitmq.bytes" -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $quantity := kindIs "string" . | ternary . (printf "%d" (int64 .)) -}}
{{- if regexMatch "^[0-9]+([.][0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$" $quantity -}}
{{- $unit := regexFind "[A-Za-z]*$" $quantity -}}
{{- mulf (trimSuffix $unit $quantity | float64) (get $units $unit) | int64 -}}
{{- else -}}0{{- end -}}
{{- end -}}

{{- define "rabbitmq.memoryBytes" -}}
{{- include "rabbitmq.bytes" (dig "limits" "memory" "" .Values.resources) -}}
{{- end -}}

{{/*
The generated credentials as JSON: what the cluster already holds, or new ones. New ones are put
into .Values.generated, which Helm shares between a parent and its subchart for one rendering and
then forgets: the Secret and the checksums of the pods that use it must see the same password.
*/}}
{{- define "rabbitmq.credentials" -}}
{{- if not .Values.generated -}}
{{- $held := (lookup "v1" "Secret" .Release.Namespace (include "rabbitmq.fullname" .)).data | default dict -}}
{{- $new := dict "username" "celery" "password" (randAlphaNum 32) "erlang-cookie" (randAlphaNum 32) -}}
{{- range $key := keys $new -}}
{{- with get $held $key }}{{ $_ := set $new $key (b64dec .) }}{{ end -}}
{{- end -}}
{{- $_ := set .Values "generated" $new -}}
{{- end -}}
{{- .Values.generated | toJson -}}
{{- end -}}

{{/*
A hash of the user name and password as clients see them: a pod that carries it restarts when they change.
A Secret that cannot be seen (`helm template`, or not created yet) counts by its name.
*/}}
{{- define "rabbitmq.credentialsChecksum" -}}
{{- if or .Values.operator .Values.auth.existingSecret -}}
{{- $name := include "rabbitmq.secretName" . -}}
{{- $seen := (lookup "v1" "Secret" .Release.Namespace $name).data | default dict -}}
{{- list $name (pick $seen "username" "password") | toJson | sha256sum -}}
{{- else -}}
{{- pick (include "rabbitmq.credentials" . | fromJson) "username" "password" | toJson | sha256sum -}}
{{- end -}}
{{- end -}}
