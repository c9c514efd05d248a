{{/*
Kinds that an operator brings and this cluster lacks. Without a cluster, as in `helm template`, Helm
names no version that only a server knows, and nothing is said.
*/}}
{{- define "celery.problems.cluster" -}}
{{- $versions := .Capabilities.APIVersions }}
{{- $wanted := list
  (list (hasPrefix "keda" .Values.autoscaling.mode) "keda.sh/v1alpha1" (print "autoscaling.mode: " .Values.autoscaling.mode) "KEDA" "set none, hpa or cpu")
  (list (eq .Values.broker.mode "operator") "rabbitmq.com/v1beta1" "broker.mode: operator" "RabbitMQ's cluster operator" "set embedded or existing")
  (list .Values.monitoring.monitors.enabled "monitoring.coreos.com/v1" "monitoring.monitors.enabled: true" "prometheus-operator" "set it to false")
  (list .Values.monitoring.alerts.enabled "monitoring.coreos.com/v1" "monitoring.alerts.enabled: true" "prometheus-operator" "set it to false") }}
{{- if $versions.Has "apiregistration.k8s.io/v1" }}
{{- range $each := $wanted }}
{{- if and (index $each 0) (not ($versions.Has (index $each 1))) }}
{{ index $each 2 }}, but this cluster has no {{ index $each 1 }}. Install {{ index $each 3 }} first, or {{ index $each 4 }}.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
