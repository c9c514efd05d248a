{{/* The name of every object. Takes the chart's context, so a parent chart can ask for it too. */}}
{{- define "redis.fullname" -}}
{{- .Values.fullnameOverride | default (printf "%s-redis" .Release.Name) -}}
{{- end -}}

{{/* The Secret with the key password. */}}
{{- define "redis.secretName" -}}
{{- .Values.auth.existingSecret | default (include "redis.fullname" .) -}}
{{- end -}}

{{- define "redis.selectorLabels" -}}
app.kubernetes.io/name: redis
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: results
{{- end -}}

{{- define "redis.labels" -}}
{{ include "redis.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "redis.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "redis.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* A Kubernetes quantity in bytes; 0 when it is missing or cannot be read. */}}
{{- define "redis.bytes" -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $quantity := kindIs "string" . | ternary . (printf "%d" (int64 .)) -}}
{{- if regexMatch "^[0-9]+([.][0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$" $quantity -}}
{{- $unit := regexFind "[A-Za-z]*$" $quantity -}}
{{- mulf (trimSuffix $unit $quantity | float64) (get $units $unit) | int64 -}}
{{- else -}}0{{- end -}}
{{- end -}}

{{- define "redis.memoryBytes" -}}
{{- include "redis.bytes" (dig "limits" "memory" "" .Values.resources) -}}
{{- end -}}

{{/*
The generated passwords as JSON: what the cluster already holds, or a new one. They are put into
.Values.generated, which Helm shares between a parent and its subchart for one rendering and then
forgets: the Secret and the checksums of the pods that use it must see the same password.
A previous-password that equals the password asks for a new one.
*/}}
{{- define "redis.credentials" -}}
{{- if not .Values.generated -}}
{{- $held := (lookup "v1" "Secret" .Release.Namespace (include "redis.fullname" .)).data | default dict -}}
{{- $generated := dict "password" (randAlphaNum 32) -}}
{{- with get $held "previous-password" }}{{ $_ := set $generated "previous-password" (b64dec .) }}{{ end -}}
{{- if and $held.password (ne $held.password (get $held "previous-password")) }}{{ $_ := set $generated "password" (b64dec $held.password) }}{{ end -}}
{{- $_ := set .Values "generated" $generated -}}
{{- end -}}
{{- .Values.generated | toJson -}}
{{- end -}}

{{/*
A hash of the Secret's keys that are asked for. Takes a list: the chart's context, and the keys.
A Secret that cannot be seen (`helm template`, or not created yet) counts by its name.
*/}}
{{- define "redis.passwordsChecksum" -}}
{{- $secret := (first .).Values.auth.existingSecret -}}
{{- $seen := dict -}}
{{- if $secret -}}
{{- $seen = (lookup "v1" "Secret" (first .).Release.Namespace $secret).data | default dict -}}
{{- else -}}
{{- $seen = include "redis.credentials" (first .) | fromJson -}}
{{- end -}}
{{- $held := dict -}}
{{- range $key := last . }}{{ with get $seen $key }}{{ $_ := set $held $key . }}{{ end }}{{ end -}}
{{- list $secret $held | toJson | sha256sum -}}
{{- end -}}

{{/*
A hash of what clients use: a pod that carries it restarts when they change. The previous password
is not among it.
*/}}
{{- define "redis.credentialsChecksum" -}}
{{- $parts := list (include "redis.passwordsChecksum" (list . (list "password"))) -}}
{{- if .Values.tls.enabled }}{{ $parts = append $parts (get (include "redis.tls" . | fromJson) "ca.crt") }}{{ end -}}
{{- $parts | toJson | sha256sum -}}
{{- end -}}

{{/* One line for every setting that cannot work; a parent chart adds them to its own. */}}
{{- define "redis.problems" -}}
{{- $name := include "redis.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
fullnameOverride: "{{ $name }}" cannot name a Service. Use lower-case letters, digits and "-", starting with a letter.
{{- end }}
{{- if gt (len $name) 46 }}
fullnameOverride: "{{ $name }}" has {{ len $name }} characters, 46 is the most that the objects' names leave room for. Set a shorter one.
{{- end }}
{{- if eq (include "redis.memoryBytes" .) "0" }}
resources.limits.memory: missing or not a quantity. Set one, e.g. 512Mi: the memory that Redis may fill is derived from it.
{{- end }}
{{- if eq (include "redis.bytes" .Values.storage.size) "0" }}
storage.size: "{{ .Values.storage.size }}" is not a size. Write it as a quantity, e.g. 4Gi.
{{- end }}
{{- if not (or .Values.image.tag .Values.image.digest) }}
image.tag: missing. Set a tag or image.digest.
{{- end }}
{{- if has .Values.auth.username (list "default" "probe") }}
auth.username: "{{ .Values.auth.username }}" is a user that is there already. Choose another name, or leave it empty.
{{- end }}
{{- if and .Values.tls.existingSecret (not .Values.tls.enabled) }}
tls.existingSecret: has no effect while tls.enabled is false. Remove it, or set tls.enabled to true.
{{- end }}
{{- end -}}
