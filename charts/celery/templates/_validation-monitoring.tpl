{{- define "celery.problems.monitoring" -}}
{{- if not .Values.exporter.enabled }}
{{- range $part := list "alerts" "dashboards" }}
{{- if (get $.Values.monitoring $part).enabled }}
monitoring.{{ $part }}.enabled: all of them ask the exporter, and exporter.enabled is false. Set it to true, or this to false.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
