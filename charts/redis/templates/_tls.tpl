{{/* The Secret with ca.crt, tls.crt and tls.key. */}}
{{- define "redis.tlsSecretName" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "redis.fullname" .)) -}}
{{- end -}}

{{/*
Its content as JSON: what the cluster holds; of a generated one, else a new one, kept in .Values for
the rest of the rendering: Redis and the clients that trust it must see the same.
*/}}
{{- define "redis.tls" -}}
{{- if not .Values.generatedTls -}}
{{- $held := (lookup "v1" "Secret" .Release.Namespace (include "redis.tlsSecretName" .)).data | default dict -}}
{{- $tls := dict -}}
{{- range $key := list "ca.crt" "tls.crt" "tls.key" -}}
{{- with get $held $key }}{{ $_ := set $tls $key (b64dec .) }}{{ end -}}
{{- end -}}
{{- if and (lt (len $tls) 3) (not .Values.tls.existingSecret) -}}
{{- $name := include "redis.fullname" . -}}
{{- $host := printf "%s.%s" $name .Release.Namespace -}}
{{- $tenYears := 3650 -}}
{{- $ca := genCAWithKey (printf "%s-ca" $name) $tenYears (genPrivateKey "ecdsa") -}}
{{- $names := list $name $host (printf "%s.svc" $host) -}}
{{- $certificate := genSignedCertWithKey $name nil $names $tenYears $ca (genPrivateKey "ecdsa") -}}
{{- $tls = dict "ca.crt" $ca.Cert "tls.crt" $certificate.Cert "tls.key" $certificate.Key -}}
{{- end -}}
{{- $_ := set .Values "generatedTls" $tls -}}
{{- end -}}
{{- .Values.generatedTls | toJson -}}
{{- end -}}
