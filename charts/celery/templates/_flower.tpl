{{- define "celery.flowerSecretName" -}}
{{- .Values.flower.existingSecret | default (printf "%s-flower" (include "celery.fullname" .)) -}}
{{- end -}}

{{/*
The generated login as JSON: what the cluster already holds, or a new one, kept in .Values for the rest
of the rendering: Secret and the pod's checksum must see the same.
*/}}
{{- define "celery.flowerLogin" -}}
{{- if not .Values.generatedFlower -}}
{{- $held := (lookup "v1" "Secret" .Release.Namespace (include "celery.flowerSecretName" .)).data | default dict -}}
{{- $login := dict "username" "flower" "password" (randAlphaNum 32) -}}
{{- range $key := keys $login }}{{ with get $held $key }}{{ $_ := set $login $key (b64dec .) }}{{ end }}{{ end -}}
{{- $_ := set .Values "generatedFlower" $login -}}
{{- end -}}
{{- .Values.generatedFlower | toJson -}}
{{- end -}}

{{/* A Secret of the user's that cannot be seen (`helm template`, or not created yet) counts by its name. */}}
{{- define "celery.flowerChecksum" -}}
{{- with .Values.flower.existingSecret -}}
{{- list . ((lookup "v1" "Secret" $.Release.Namespace .).data | default dict) | toJson | sha256sum -}}
{{- else -}}
{{- include "celery.flowerLogin" . | sha256sum -}}
{{- end -}}
{{- end -}}

{{/* The login, by environment: an argument can be read by whoever may list processes. */}}
{{- define "celery.flowerEnv" -}}
{{- range $key := list "username" "password" }}
- name: FLOWER_{{ upper $key }}
  valueFrom:
    secretKeyRef: {name: {{ include "celery.flowerSecretName" $ }}, key: {{ $key }}}
{{- end }}
- name: FLOWER_BASIC_AUTH
  value: $(FLOWER_USERNAME):$(FLOWER_PASSWORD)
- name: FLOWER_UNAUTHENTICATED_API
  value: "false"
{{- end -}}
