{{/* The first part of every object's name. */}}
{{- define "celery.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name -}}
{{- end -}}

{{/* The label that tells worker groups apart. */}}
{{- define "celery.groupLabel" -}}celery-worker-group{{- end -}}

{{/*
The labels that select the pods of one component. Takes a dict: root, component, and group for a
worker group. They never overlap between workloads and carry nothing that a release changes.
*/}}
{{- define "celery.selectorLabels" -}}
app.kubernetes.io/name: celery
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .group }}
{{ include "celery.groupLabel" $ }}: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* All labels of an object; arguments as for celery.selectorLabels. */}}
{{- define "celery.labels" -}}
{{ include "celery.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* An image's name. Takes repository, tag and digest. */}}
{{- define "celery.image" -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end -}}
{{- end -}}
