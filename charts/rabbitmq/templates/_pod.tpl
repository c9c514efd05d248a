{{- define "rabbitmq.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* RabbitMQ reads the default user from these itself, on the first start of an empty volume. */}}
{{- define "rabbitmq.env" -}}
- name: HOME
  value: /var/lib/rabbitmq
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: RABBITMQ_USE_LONGNAME
  value: "true"
- name: RABBITMQ_NODENAME
  value: {{ include "rabbitmq.nodeName" (list . "$(POD_NAME)" "$(POD_NAMESPACE)") }}
- name: RABBITMQ_LOGS
  value: "-"
# RabbitMQ would bind its first thread to the node's first core, as each other RabbitMQ there does.
- name: RABBITMQ_SCHEDULER_BIND_TYPE
  value: u
{{ include "rabbitmq.userEnv" . }}
{{- end -}}

{{- define "rabbitmq.userEnv" -}}
- name: RABBITMQ_DEFAULT_USER
  valueFrom: {secretKeyRef: {name: {{ include "rabbitmq.secretName" . }}, key: username}}
- name: RABBITMQ_DEFAULT_PASS
  valueFrom: {secretKeyRef: {name: {{ include "rabbitmq.secretName" . }}, key: password}}
{{- end -}}

{{/* Where nodes may be: the given affinity, over what keeps several of them apart. */}}
{{- define "rabbitmq.affinity" -}}
{{- $spread := dict -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- $selector := dict "matchLabels" (include "rabbitmq.podLabels" . | fromYaml) -}}
{{- $host := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" $selector -}}
{{- $zone := dict "topologyKey" "topology.kubernetes.io/zone" "labelSelector" $selector -}}
{{- $preferred := list (dict "weight" 50 "podAffinityTerm" $zone) -}}
{{- if eq .Values.spread "required" -}}
{{- $_ := set $spread "requiredDuringSchedulingIgnoredDuringExecution" (list $host) -}}
{{- else -}}
{{- $preferred = prepend $preferred (dict "weight" 100 "podAffinityTerm" $host) -}}
{{- end -}}
{{- $_ := set $spread "preferredDuringSchedulingIgnoredDuringExecution" $preferred -}}
{{- $spread = dict "podAntiAffinity" $spread -}}
{{- end -}}
{{- merge (deepCopy .Values.affinity) $spread | toYaml -}}
{{- end -}}
