{{/*
A Deployment as text, with podTemplate laid over its pod template. What is added to the pod's container
is confined like it; without an image it is a container of the same image, with its environment and
mounts. Takes a list: the text, the dict of celery.podSpec, the overlays.
*/}}
{{- define "celery.withPodTemplate" -}}
{{- $overlays := last . | compact -}}
{{- if not $overlays -}}
{{- first . -}}
{{- else -}}
{{- $deployment := first . | fromYaml -}}
{{- $template := $deployment.spec.template -}}
{{- range $overlays }}{{ $template = include "celery.overlaid" (list $template .) | fromJsonArray | first }}{{ end -}}
{{- $main := first $template.spec.containers -}}
{{- $confinement := dict "securityContext" (index . 1).root.Values.securityContext -}}
{{- $same := pick $main "image" "imagePullPolicy" "env" "envFrom" "volumeMounts" "securityContext" "resources" "terminationMessagePolicy" -}}
{{- range $kind := list "initContainers" "containers" -}}
{{- $containers := list -}}
{{- range $container := get $template.spec $kind | default list -}}
{{- if ne $container.name $main.name -}}
{{- $base := hasKey $container "image" | ternary $confinement $same -}}
{{- $container = include "celery.overlaid" (list $base $container) | fromJsonArray | first -}}
{{- end -}}
{{- $containers = append $containers $container -}}
{{- end -}}
{{- with $containers }}{{ $_ := set $template.spec $kind . }}{{ end -}}
{{- end -}}
{{- $_ := set $deployment.spec "template" $template -}}
{{- toYaml $deployment -}}
{{- end -}}
{{- end -}}

{{/*
One value laid over another: maps by their keys, of which null removes one; lists by the names (mounts
by the paths) of their entries; anything else is replaced. Takes a list: the two values. Answers a
JSON list with the one that comes out.
*/}}
{{- define "celery.overlaid" -}}
{{- $base := first . -}}
{{- $over := last . -}}
{{- $result := $over -}}
{{- if and (kindIs "map" $base) (kindIs "map" $over) -}}
{{- $result = deepCopy $base -}}
{{- range $key, $value := $over -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $result $key -}}
{{- else -}}
{{- $_ := set $result $key (include "celery.overlaid" (list (get $base $key) $value) | fromJsonArray | first) -}}
{{- end -}}
{{- end -}}
{{- else if and (kindIs "slice" $base) (kindIs "slice" $over) -}}
{{- $result = include "celery.overlaidList" . | fromJsonArray -}}
{{- end -}}
{{- list $result | toJson -}}
{{- end -}}

{{/* Takes a list: the two lists. */}}
{{- define "celery.overlaidList" -}}
{{- $base := first . -}}
{{- $over := last . -}}
{{- $key := "" -}}
{{- range $candidate := list "name" "mountPath" -}}
{{- range $base }}{{ if kindIs "map" . }}{{ if hasKey . $candidate }}{{ $key = $candidate }}{{ end }}{{ end }}{{ end -}}
{{- end -}}
{{- if not $key -}}
{{- $over | toJson -}}
{{- else -}}
{{- $added := dict -}}
{{- range $over }}{{ $_ := set $added (get . $key) . }}{{ end -}}
{{- $result := list -}}
{{- range $base -}}
{{- $name := get . $key -}}
{{- $result = append $result (hasKey $added $name | ternary (include "celery.overlaid" (list . (get $added $name)) | fromJsonArray | first) .) -}}
{{- $_ := unset $added $name -}}
{{- end -}}
{{- range $over }}{{ if hasKey $added (get . $key) }}{{ $result = append $result . }}{{ end }}{{ end -}}
{{- $result | toJson -}}
{{- end -}}
{{- end -}}
