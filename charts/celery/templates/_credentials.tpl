{{/*
Which Secrets hold the credentials: a list of {name, keys, folder, optional, external}. The keys
appear as files in that folder under /etc/celery-runtime; external ones are the user's own.
*/}}
{{- define "celery.credentials" -}}
{{- concat (include "celery.brokerCredentials" . | fromJsonArray) (include "celery.resultsCredentials" . | fromJsonArray) | toJson -}}
{{- end -}}

{{- define "celery.brokerCredentials" -}}
{{- $given := .Values.broker -}}
{{- $secret := dict "folder" "broker" "keys" (list "username" "password") -}}
{{- if eq $given.mode "embedded" -}}
{{- $_ := set $secret "name" (include "rabbitmq.secretName" .Subcharts.rabbitmq) -}}
{{- else if $given.existingSecret -}}
{{- $_ := merge $secret (dict "name" $given.existingSecret "external" true) -}}
{{- if not $given.host }}{{ $_ := set $secret "keys" (list "url") }}{{ end -}}
{{- else -}}
{{- $_ := set $secret "name" (printf "%s-broker" (include "celery.fullname" .)) -}}
{{- end -}}
{{- list $secret | toJson -}}
{{- end -}}

{{- define "celery.resultsCredentials" -}}
{{- $given := .Values.resultBackend -}}
{{- $secret := dict "folder" "results" "keys" (list "password") -}}
{{- $secrets := list $secret -}}
{{- if eq $given.mode "embedded" -}}
{{- $_ := set $secret "name" (include "redis.secretName" .Subcharts.redis) -}}
{{- else if $given.existingSecret -}}
{{- $_ := merge $secret (dict "name" $given.existingSecret "external" true) -}}
{{- if $given.host -}}
{{- $secrets = append $secrets (merge (dict "keys" (list "username") "optional" true) $secret) -}}
{{- else -}}
{{- $_ := set $secret "keys" (list "url") -}}
{{- end -}}
{{- else -}}
{{- $_ := set $secret "name" (printf "%s-results" (include "celery.fullname" .)) -}}
{{- end -}}
{{- $secrets | toJson -}}
{{- end -}}

{{/*
The volume that celery_runtime reads, as a worker mounts it. NOTES.txt shows the same text to
producers, so it names everything in full.
*/}}
{{- define "celery.runtimeVolume" -}}
name: celery-runtime
projected:
  sources:
    - configMap:
        name: {{ include "celery.fullname" . }}-settings
        items: [{key: settings.json, path: settings.json}]
    {{- range $secret := include "celery.credentials" . | fromJsonArray }}
    - secret:
        name: {{ $secret.name }}
        {{- if $secret.optional }}
        optional: true
        {{- end }}
        items:
          {{- range $key := $secret.keys }}
          - {key: {{ $key }}, path: {{ $secret.folder }}/{{ $key }}}
          {{- end }}
    {{- end }}
{{- end -}}

{{/*
A hash of everything that a Celery process reads once, at its start. Takes a dict: root, and
schedule: true for beat, the only one that reads the schedule. A Secret of the user's that cannot
be seen (`helm template`, or not created yet) counts by its name.
*/}}
{{- define "celery.runtimeChecksum" -}}
{{- $root := .root -}}
{{- $settings := include "celery.settings" $root | fromJson -}}
{{- $parts := list (.schedule | ternary $settings (omit $settings "beat")) -}}
{{- range $secret := include "celery.credentials" $root | fromJsonArray -}}
{{- $seen := dict -}}
{{- if $secret.external -}}
{{- $seen = (lookup "v1" "Secret" $root.Release.Namespace $secret.name).data | default dict -}}
{{- end -}}
{{- $parts = append $parts (list $secret.name $secret.keys) -}}
{{- range $key := $secret.keys }}{{ $parts = append $parts (get $seen $key) }}{{ end -}}
{{- end -}}
{{- with $root.Values }}{{ $parts = concat $parts (list .broker.username .broker.password .resultBackend.password) }}{{ end -}}
{{- if eq $root.Values.broker.mode "embedded" -}}
{{- $parts = append $parts (include "rabbitmq.credentialsChecksum" $root.Subcharts.rabbitmq) -}}
{{- end -}}
{{- if eq $root.Values.resultBackend.mode "embedded" -}}
{{- $parts = append $parts (include "redis.credentialsChecksum" $root.Subcharts.redis) -}}
{{- end -}}
{{- $parts | toJson | sha256sum -}}
{{- end -}}
