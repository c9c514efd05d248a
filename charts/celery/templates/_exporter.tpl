{{/* What the exporter is told. */}}

{{/* Which source counts tasks: images without celery_runtime have no endpoint that could be asked. */}}
{{- define "celery.tasksFrom" -}}
{{- .Values.exporter.tasksFrom | default (.Values.runtime | ternary "workers" "events") -}}
{{- end -}}

{{/* groups.json: where the worker groups' pods are, and what was promised of each group. */}}
{{- define "celery.groups" -}}
{{- $groups := dict -}}
{{- range $group, $worker := include "celery.workers" . | fromJson -}}
{{- $entry := dict "queues" $worker.queues "slots" $worker.concurrency "maxTaskSeconds" $worker.timeLimit -}}
{{- if $worker.scaled }}{{ $_ := set $entry "autoscaling" $worker.autoscaling }}{{ end -}}
{{- $_ := set $groups $group $entry -}}
{{- end -}}
{{- dict
  "namespace" .Release.Namespace
  "labels" (include "celery.selectorLabels" (dict "root" . "component" "worker") | fromYaml)
  "groupLabel" (include "celery.groupLabel" .)
  "port" (include "celery.healthPort" . | int)
  "groups" $groups | toPrettyJson -}}
{{- end -}}

{{/* The volumes of the exporter's pod. */}}
{{- define "celery.exporterVolumes" -}}
- {{ include "celery.runtimeVolume" . | nindent 2 | trim }}
{{- if .Values.runtime }}
      - configMap:
          name: {{ include "celery.fullname" . }}-exporter
          items: [{key: groups.json, path: groups.json}]
{{- end }}
{{- if eq (include "celery.usesTls" .) "true" }}
- name: tls
  secret:
    secretName: {{ include "celery.tlsSecretName" . }}
{{- end }}
{{- end -}}

{{/* "true" where the exporter answers on this port, for KEDA or for the HPA. */}}
{{- define "celery.servesScaler" -}}
{{- eq .Values.autoscaling.mode "keda" -}}
{{- end -}}

{{- define "celery.servesApi" -}}
{{- and .Values.autoscaling.externalMetricsApi (has .Values.autoscaling.mode (list "hpa" "queue-length")) -}}
{{- end -}}

{{/*
One certificate is enough: its Secret has ca.crt, tls.crt and tls.key, and is what the exporter shows
and, in mode keda, what KEDA shows to it.
*/}}
{{- define "celery.usesTls" -}}
{{- or (eq (include "celery.servesApi" .) "true") (and .Values.autoscaling.tls.enabled (eq (include "celery.servesScaler" .) "true")) -}}
{{- end -}}

{{- define "celery.tlsSecretName" -}}
{{- .Values.autoscaling.tls.existingSecret | default (printf "%s-exporter-tls" (include "celery.fullname" .)) -}}
{{- end -}}

{{/*
The generated certificate as JSON: what the cluster already holds, or a new one, kept in .Values for
the rest of the rendering: Secret, APIService and the pod's checksum must see the same.
*/}}
{{- define "celery.tls" -}}
{{- if not .Values.generatedTls -}}
{{- $held := (lookup "v1" "Secret" .Release.Namespace (include "celery.tlsSecretName" .)).data | default dict -}}
{{- $tls := dict -}}
{{- range $key := list "ca.crt" "tls.crt" "tls.key" -}}
{{- with get $held $key }}{{ $_ := set $tls $key (b64dec .) }}{{ end -}}
{{- end -}}
{{- if lt (len $tls) 3 -}}
{{- $name := printf "%s-exporter" (include "celery.fullname" .) -}}
{{- $host := printf "%s.%s" $name .Release.Namespace -}}
{{- $tenYears := 3650 -}}
{{- $ca := genCAWithKey (printf "%s-ca" $name) $tenYears (genPrivateKey "ecdsa") -}}
{{- $names := list $host (printf "%s.svc" $host) -}}
{{- $certificate := genSignedCertWithKey $name nil $names $tenYears $ca (genPrivateKey "ecdsa") -}}
{{- $tls = dict "ca.crt" $ca.Cert "tls.crt" $certificate.Cert "tls.key" $certificate.Key -}}
{{- end -}}
{{- $_ := set .Values "generatedTls" $tls -}}
{{- end -}}
{{- .Values.generatedTls | toJson -}}
{{- end -}}

{{/* A hash of what the exporter reads once, at its start, beside the settings. */}}
{{- define "celery.exporterChecksum" -}}
{{- $parts := list (include "celery.groups" .) -}}
{{- if eq (include "celery.usesTls" .) "true" -}}
{{- with .Values.autoscaling.tls.existingSecret -}}
{{- $parts = append $parts (list . ((lookup "v1" "Secret" $.Release.Namespace .).data | default dict)) -}}
{{- else -}}
{{- $parts = append $parts (include "celery.tls" .) -}}
{{- end -}}
{{- end -}}
{{- $parts | toJson | sha256sum -}}
{{- end -}}
