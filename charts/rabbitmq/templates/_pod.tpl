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
# The full name, which the data directory carries too: more nodes can join one day.
- name: RABBITMQ_USE_LONGNAME
  value: "true"
- name: RABBITMQ_NODENAME
  value: rabbit@$(POD_NAME).{{ include "rabbitmq.fullname" . }}-nodes.$(POD_NAMESPACE).svc.{{ .Values.clusterDomain }}
- name: RABBITMQ_LOGS
  value: "-"
- name: RABBITMQ_DEFAULT_USER
  valueFrom: {secretKeyRef: {name: {{ include "rabbitmq.secretName" . }}, key: username}}
- name: RABBITMQ_DEFAULT_PASS
  valueFrom: {secretKeyRef: {name: {{ include "rabbitmq.secretName" . }}, key: password}}
{{- end -}}
