{{/* The labels by which Prometheus and Grafana find an object, beside its own. Takes the context. */}}
{{- define "celery.monitoringLabels" -}}
{{- include "celery.labels" (dict "root" . "component" "monitoring") | fromYaml | merge (deepCopy .Values.monitoring.labels) | toYaml -}}
{{- end -}}

{{/*
The rules of alerts.yaml that this release needs, with everything filled in: a JSON list. By Service and
pod, as prometheus-operator and Prometheus' own discovery of annotated Services label what they scrape.
*/}}
{{- define "celery.alerts" -}}
{{- $name := include "celery.fullname" . -}}
{{- $mode := .Values.autoscaling.mode -}}
{{- $rabbitmq := eq (include "celery.embedsRabbitmq" .) "true" -}}
{{- $own := dict "namespace" .Release.Namespace "release" $name -}}
{{- $has := dict "runtime" .Values.runtime "beat" (and .Values.runtime .Values.beat.enabled) "rabbitmq" $rabbitmq
  "promises" (and .Values.runtime (ne $mode "none")) "scaling" (has $mode (list "keda" "hpa")) -}}
{{- $fill := dict
  "exporter" (printf `namespace="%s",service="%s-exporter"` .Release.Namespace $name)
  "beat" (printf `namespace="%s",pod=~"%s-beat-.+"` .Release.Namespace $name)
  "pods" (printf `namespace="%s",pod=~"%s-(worker|beat|exporter|flower)-.+"` .Release.Namespace $name)
  "release" (printf `namespace="%s",release="%s"` .Release.Namespace $name)
  "copies" (min 3 (dig "replicas" 1 (.Values.rabbitmq | deepCopy))) -}}
{{- $text := .Files.Get "alerts.yaml" -}}
{{- range $key, $value := merge $fill .Values.monitoring.alerts -}}
{{- $text = replace (printf "$(%s)" $key) (kindIs "string" $value | ternary $value (toJson $value)) $text -}}
{{- end -}}
{{- $rules := list -}}
{{- range $text | fromYamlArray -}}
{{- if or (not .when) (get $has .when) -}}
{{- $rule := pick . "alert" "record" "expr" "for" -}}
{{- if .alert -}}
{{- $_ := set $rule "labels" (merge (pick . "severity") $own) -}}
{{- $runbook := printf "%s#%s" $.Values.monitoring.alerts.runbookUrl (lower .alert) -}}
{{- $_ := set $rule "annotations" (merge (pick . "summary" "description") (dict "runbook_url" $runbook)) -}}
{{- else -}}
{{- $_ := set $rule "labels" $own -}}
{{- end -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{- $rules | toJson -}}
{{- end -}}
