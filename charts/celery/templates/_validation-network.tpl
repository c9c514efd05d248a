{{- define "celery.problems.network" -}}
{{- $policy := .Values.networkPolicy }}
{{- $peers := dict }}
{{- range $key := list "clients" "viewers" "existingServers" }}
{{- range $index, $peer := get $policy $key }}
{{- $_ := set $peers (printf "%s[%d]" $key $index) $peer }}
{{- end }}
{{- end }}
{{- range $rule, $given := $policy.appEgress }}
{{- range $index, $peer := $given.to }}
{{- $_ := set $peers (printf "appEgress[%d].to[%d]" $rule $index) $peer }}
{{- end }}
{{- end }}
{{- range $key, $peer := $peers }}
{{- if and $peer.ipBlock (gt (len $peer) 1) }}
networkPolicy.{{ $key }}: has ipBlock beside a selector, which Kubernetes refuses. Make two entries of it.
{{- end }}
{{- end }}
{{- if and $policy.existingServers (eq .Values.broker.mode "embedded") (eq .Values.resultBackend.mode "embedded") }}
networkPolicy.existingServers: has no effect while broker and results are embedded. Remove it, or set broker.mode or resultBackend.mode to existing.
{{- end }}
{{- end -}}
