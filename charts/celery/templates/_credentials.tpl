{{/*
Which Secrets hold the credentials: a list of {name, keys, folder, optional, external}. The keys
appear as files in that folder under /etc/celery-runtime; external ones are the user's own.
*/}}
{{- define "celery.credentials" -}}
{{- concat (include "celery.brokerCredentials" . | fromJsonArray) (include "celery.resultsCredentials" . | fromJsonArray) | toJson -}}
{{- end -}}

{{- define "celery.brokerCredentials" -}}
{{- $given := .Values.broker -}}
{{- $secrets := list -}}
{{- if eq (include "celery.embedsRabbitmq" .) "true" -}}
{{- $rabbitmq := .Subcharts.rabbitmq -}}
{{- $secrets = list (dict "name" (include "rabbitmq.secretName" $rabbitmq) "keys" (list "username" "password")) -}}
{{- if $rabbitmq.Values.tls.enabled -}}
{{- /* Without one, the system's authorities count. */ -}}
{{- $secrets = append $secrets (dict "name" (include "rabbitmq.tlsSecretName" $rabbitmq) "keys" (list "ca.crt") "optional" true) -}}
{{- end -}}
{{- else if eq $given.mode "embedded" -}}
{{- $secrets = include "celery.embeddedRedisSecrets" . | fromJsonArray -}}
{{- else if $given.existingSecret -}}
{{- $keys := list "username" "password" -}}
{{- $optional := list -}}
{{- if eq $given.kind "redis" }}{{ $keys = list "password" }}{{ $optional = list "username" }}{{ end -}}
{{- if or (not .Values.runtime) (and (ne $given.kind "sqs") (not (or $given.host $given.sentinel))) }}{{ $keys = list "url" }}{{ $optional = list }}{{ end -}}
{{- if $given.tls }}{{ $optional = append $optional "ca.crt" }}{{ end -}}
{{- if $given.sentinel }}{{ $optional = append $optional "sentinel-password" }}{{ end -}}
{{- $secrets = include "celery.ownSecret" (list $given.existingSecret $keys $optional) | fromJsonArray -}}
{{- else if $given.password -}}
{{- $secrets = list (dict "name" (printf "%s-broker" (include "celery.fullname" .)) "keys" (ternary (list "username" "password") (list "password") (ne $given.username ""))) -}}
{{- end -}}
{{- range $secrets }}{{ $_ := set . "folder" "broker" }}{{ end -}}
{{- $secrets | toJson -}}
{{- end -}}

{{- define "celery.resultsCredentials" -}}
{{- $given := .Values.resultBackend -}}
{{- $secrets := list -}}
{{- if eq $given.mode "embedded" -}}
{{- $secrets = include "celery.embeddedRedisSecrets" . | fromJsonArray -}}
{{- else if $given.existingSecret -}}
{{- $found := or (ne $given.host "") (not (empty $given.sentinel)) -}}
{{- $optional := ternary (list "username") (list) $found -}}
{{- if $given.tls }}{{ $optional = append $optional "ca.crt" }}{{ end -}}
{{- if $given.sentinel }}{{ $optional = append $optional "sentinel-password" }}{{ end -}}
{{- $secrets = include "celery.ownSecret" (list $given.existingSecret (list (ternary "password" "url" $found)) $optional) | fromJsonArray -}}
{{- else -}}
{{- $secrets = list (dict "name" (printf "%s-results" (include "celery.fullname" .)) "keys" (list "password")) -}}
{{- end -}}
{{- range $secrets }}{{ $_ := set . "folder" "results" }}{{ end -}}
{{- $secrets | toJson -}}
{{- end -}}

{{- define "celery.embeddedRedisSecrets" -}}
{{- $redis := .Subcharts.redis -}}
{{- $secrets := list (dict "name" (include "redis.secretName" $redis) "keys" (list "password")) -}}
{{- if $redis.Values.tls.enabled }}{{ $secrets = append $secrets (dict "name" (include "redis.tlsSecretName" $redis) "keys" (list "ca.crt")) }}{{ end -}}
{{- $secrets | toJson -}}
{{- end -}}

{{/*
A Secret of the user's. Takes a list: its name, the keys that it must have, and those that it may
have. The latter are a source of their own, because a missing key is forgiven by source only.
*/}}
{{- define "celery.ownSecret" -}}
{{- $secrets := list (dict "name" (index . 0) "keys" (index . 1) "external" true) -}}
{{- with index . 2 }}{{ $secrets = append $secrets (dict "name" (index $ 0) "keys" . "external" true "optional" true) }}{{ end -}}
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
{{- $settings := $root.Values.runtime | ternary (include "celery.settings" $root | fromJson) dict -}}
{{- if not .schedule }}{{ $settings = omit $settings "beat" }}{{ end -}}
{{- if eq $root.Values.broker.kind "rabbitmq" }}{{ $settings = omit $settings "maxTaskSeconds" }}{{ end -}}
{{- $parts := list $settings -}}
{{- range $secret := include "celery.credentials" $root | fromJsonArray -}}
{{- $seen := dict -}}
{{- if $secret.external -}}
{{- $seen = (lookup "v1" "Secret" $root.Release.Namespace $secret.name).data | default dict -}}
{{- end -}}
{{- $parts = append $parts (list $secret.name $secret.keys) -}}
{{- range $key := $secret.keys }}{{ $parts = append $parts (get $seen $key) }}{{ end -}}
{{- end -}}
{{- with $root.Values }}{{ $parts = concat $parts (list .broker.username .broker.password .resultBackend.password) }}{{ end -}}
{{- if eq (include "celery.embedsRabbitmq" $root) "true" -}}
{{- $parts = append $parts (include "rabbitmq.credentialsChecksum" $root.Subcharts.rabbitmq) -}}
{{- end -}}
{{- if eq (include "celery.embedsRedis" $root) "true" -}}
{{- $parts = append $parts (include "redis.credentialsChecksum" $root.Subcharts.redis) -}}
{{- end -}}
{{- $parts | toJson | sha256sum -}}
{{- end -}}
