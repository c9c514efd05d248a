{{/* The Secret with tls.crt, tls.key and, where clients are to trust it, ca.crt. */}}
{{- define "rabbitmq.tlsSecretName" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "rabbitmq.fullname" .)) -}}
{{- end -}}

{{- define "rabbitmq.tlsFolder" -}}/etc/rabbitmq-tls{{- end -}}

{{/*
The generated certificate as JSON: what the cluster already holds, or a new one, kept in .Values for
the rest of the rendering, as the credentials are.
*/}}
{{- define "rabbitmq.tls" -}}
{{- if not .Values.generatedTls -}}
{{- $held := (lookup "v1" "Secret" .Release.Namespace (include "rabbitmq.tlsSecretName" .)).data | default dict -}}
{{- $tls := dict -}}
{{- range $key := list "ca.crt" "tls.crt" "tls.key" -}}
{{- with get $held $key }}{{ $_ := set $tls $key (b64dec .) }}{{ end -}}
{{- end -}}
{{- if lt (len $tls) 3 -}}
{{- $name := include "rabbitmq.fullname" . -}}
{{- $host := printf "%s.%s" $name .Release.Namespace -}}
{{- $names := list $name $host (printf "%s.svc" $host) -}}
{{- $tenYears := 3650 -}}
{{- $ca := genCAWithKey (printf "%s-ca" $name) $tenYears (genPrivateKey "ecdsa") -}}
{{- $certificate := genSignedCertWithKey $name nil $names $tenYears $ca (genPrivateKey "ecdsa") -}}
{{- $tls = dict "ca.crt" $ca.Cert "tls.crt" $certificate.Cert "tls.key" $certificate.Key -}}
{{- end -}}
{{- $_ := set .Values "generatedTls" $tls -}}
{{- end -}}
{{- .Values.generatedTls | toJson -}}
{{- end -}}
