{{/* One line for every setting that cannot work; a parent chart adds them to its own. */}}
{{- define "rabbitmq.problems" -}}
{{- $name := include "rabbitmq.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
fullnameOverride: "{{ $name }}" cannot name a Service. Use lower-case letters, digits and "-", starting with a letter.
{{- end }}
{{- if gt (len $name) 46 }}
fullnameOverride: "{{ $name }}" has {{ len $name }} characters, 46 is the most that the objects' names leave room for. Set a shorter one.
{{- end }}
{{- if eq (include "rabbitmq.memoryBytes" .) "0" }}
resources.limits.memory: missing or not a quantity. Set one, e.g. 1Gi: the memory watermark is derived from it.
{{- else if lt (include "rabbitmq.memoryBytes" . | int64) 268435456 }}
resources.limits.memory: {{ .Values.resources.limits.memory }} is too little for RabbitMQ to start reliably. Give it 256Mi or more.
{{- end }}
{{- if eq (include "rabbitmq.bytes" .Values.storage.size) "0" }}
storage.size: "{{ .Values.storage.size }}" is not a size. Write it as a quantity, e.g. 8Gi.
{{- end }}
{{- include "rabbitmq.problems.config" . }}
{{- include "rabbitmq.problems.replicas" . }}
{{- include "rabbitmq.problems.operator" . }}
{{- if not (or .Values.image.tag .Values.image.digest) }}
image.tag: missing. Set a tag or image.digest.
{{- end }}
{{- end -}}

{{/* The user's own lines win: those that nothing else in the release would know of. */}}
{{- define "rabbitmq.problems.config" -}}
{{- range $name := keys .Values.config | sortAlpha }}
{{- if eq $name "consumer_timeout" }}
config.consumer_timeout: the longest task could not be checked against it. Set consumerTimeoutSeconds instead.
{{- else if has $name (list "default_user" "default_pass") }}
config.{{ $name }}: would be readable in a ConfigMap, and clients log in by the Secret {{ include "rabbitmq.secretName" $ }}. Remove it.
{{- else if hasPrefix "listeners." $name }}
config.{{ $name }}: clients would not know of it, and it could undo TLS. Remove it; tls.enabled says which port there is.
{{- else if hasPrefix "cluster_formation." $name }}
config.{{ $name }}: nodes could begin a cluster of their own. Remove it; their peers follow from replicas.
{{- end }}
{{- end }}
{{- end -}}

{{- define "rabbitmq.problems.replicas" -}}
{{- $replicas := int .Values.replicas }}
{{- $held := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "rabbitmq.fullname" .) }}
{{- $running := dig "spec" "replicas" 0 $held | int }}
{{- $ready := dig "status" "readyReplicas" 0 $held | int }}
{{- if eq $replicas 2 }}
replicas: 2 stop as soon as one of them does, because one is no majority of two. Use 3.
{{- else if not (has $replicas (list 1 3 5)) }}
replicas: {{ $replicas }} {{ eq (mod $replicas 2) 0 | ternary "survive no more lost nodes than one less would" "are not a number of nodes that RabbitMQ works well with" }}. Use 1, 3 or 5.
{{- else if lt $replicas $running }}
replicas: {{ $replicas }}, but {{ $running }} nodes hold the queues, and what is left of them may be no majority. Let nodes leave first, one by one (README.md of charts/rabbitmq, "Fewer nodes"); the number may follow then.
{{- else if and (gt $replicas $running) (lt $ready $running) }}
replicas: {{ $replicas }}, but only {{ $ready }} of the {{ $running }} nodes there are ready, and new ones that cannot see them would begin a cluster of their own. Wait until they are.
{{- end }}
{{- if and (eq $replicas 1) (eq .Values.spread "required") }}
spread: required, but a single node has none to keep apart from. Remove it, or set replicas to 3.
{{- end }}
{{- if and .Values.tls.existingSecret (not .Values.tls.enabled) }}
tls.existingSecret: has no effect while tls.enabled is false. Remove it, or set tls.enabled to true.
{{- end }}
{{- end -}}

{{/* What the operator does itself, or cannot be told. */}}
{{- define "rabbitmq.problems.operator" -}}
{{- if .Values.operator }}
{{- if .Values.auth.existingSecret }}
auth.existingSecret: the operator makes the user, in the Secret {{ include "rabbitmq.secretName" . }}. Remove it.
{{- end }}
{{- if .Values.definitions.existingSecret }}
definitions.existingSecret: has no effect on the operator's nodes. Remove it, and use its topology operator.
{{- end }}
{{- if .Values.nodeSelector }}
nodeSelector: the operator has none. Remove it, and use affinity.nodeAffinity.
{{- end }}
{{- if .Values.priorityClassName }}
priorityClassName: the operator has none. Remove it, and make that class the cluster's default.
{{- end }}
{{- end }}
{{- end -}}
