{{/*
How a node of several leaves: it waits until the others hold a majority of every queue without it, and
then gives them what it leads. Either takes seconds, or is in vain: in an uninstall the others are
gone too. Neither is waited for until the kubelet's patience is over.
*/}}
{{- define "rabbitmq.leaving" -}}
rabbitmq-upgrade await_online_quorum_plus_one -t {{ include "rabbitmq.awaitSeconds" . }}; rabbitmq-upgrade drain -t {{ include "rabbitmq.drainSeconds" . }}
{{- end -}}

{{- define "rabbitmq.awaitSeconds" -}}60{{- end -}}

{{- define "rabbitmq.drainSeconds" -}}30{{- end -}}

{{/* Two minutes to stop; more where a node waits for others first. */}}
{{- define "rabbitmq.graceSeconds" -}}
{{- $stop := 120 -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- add $stop (include "rabbitmq.awaitSeconds" .) (include "rabbitmq.drainSeconds" .) -}}
{{- else -}}
{{- $stop -}}
{{- end -}}
{{- end -}}
