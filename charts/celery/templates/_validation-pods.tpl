{{/* What would make pods unsafe: their templates, images, canaries and disruption budgets. */}}
{{- define "celery.problems.pods" -}}
{{- $workers := include "celery.mergedWorkers" . | fromJson }}
{{- include "celery.problems.podTemplate" (dict "key" "workerDefaults.podTemplate" "container" "worker" "template" .Values.workerDefaults.podTemplate) }}
{{- range $group, $worker := $workers }}
{{- $key := printf "workers.%s" $group }}
{{- $stated := get $.Values.workers $group }}
{{- include "celery.problems.podTemplate" (dict "key" (printf "%s.podTemplate" $key) "container" "worker" "template" $stated.podTemplate) }}
{{- with $stated.image }}
{{- include "celery.problems.imageName" (list (printf "%s.image" $key) $worker.image) }}
{{- end }}
{{- with $worker.podDisruptionBudget }}
{{- if has (toString .maxUnavailable) (list "0" "0%") }}
{{ $key }}.podDisruptionBudget.maxUnavailable: {{ .maxUnavailable }} would keep every node of the group from being drained. Use 1 or more.
{{- end }}
{{- end }}
{{- include "celery.problems.canary" (dict "key" $key "group" $group "worker" $worker "groups" $workers) }}
{{- end }}
{{- range $component := list "beat" "exporter" "flower" }}
{{- include "celery.problems.podTemplate" (dict "key" (printf "%s.podTemplate" $component) "container" $component "template" (get $.Values $component).podTemplate) }}
{{- end }}
{{- end -}}

{{/* Takes a dict: key (of the group), group, worker (merged), groups (all of them). */}}
{{- define "celery.problems.canary" -}}
{{- with .worker.canary }}
{{- $key := printf "%s.canary" $.key }}
{{- $name := printf "%s-canary" $.group }}
{{- $image := include "celery.otherImage" (list $.worker.image .image) | fromJson }}
{{- include "celery.problems.imageName" (list (printf "%s.image" $key) $image) }}
{{- if eq (include "celery.image" $image) (include "celery.image" $.worker.image) }}
{{ $key }}.image: is the image of the group, so that the canary would prove nothing. Give it another tag or digest.
{{- end }}
{{- if hasKey $.groups $name }}
{{ $key }}: is named {{ $name }}, which is a group of its own. Rename workers.{{ $name }}.
{{- end }}
{{- if gt (len $.worker.name) 56 }}
{{ $key }}: makes the name {{ $.worker.name }}-canary, {{ add (len $.worker.name) 7 }} characters of the 63 allowed. Shorten the group's name or set fullnameOverride.
{{- end }}
{{- end }}
{{- end -}}

{{/* What may not be laid over a pod. Takes a dict: key, container (the pod's own), template. */}}
{{- define "celery.problems.podTemplate" -}}
{{- $key := .key }}
{{- $own := .container }}
{{- $worker := eq $own "worker" }}
{{- with .template }}
{{- range $label, $_ := dig "metadata" "labels" dict . }}
{{- if has $label (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" (include "celery.groupLabel" $)) }}
{{ $key }}.metadata.labels.{{ $label }}: its pods are found by it. Remove it; labels of your own are free.
{{- end }}
{{- end }}
{{- range $name, $_ := dig "metadata" "annotations" dict . }}
{{- if has $name (list "checksum/runtime" "checksum/exporter" "checksum/flower") }}
{{ $key }}.metadata.annotations.{{ $name }}: restarts the pods when their settings change. Remove it.
{{- end }}
{{- end }}
{{- $spec := .spec | default dict }}
{{- range $spec.volumes }}
{{- if eq .name "celery-runtime" }}
{{ $key }}.spec.volumes.celery-runtime: holds settings and credentials. Give your volume another name.
{{- end }}
{{- end }}
{{- if and $worker (hasKey $spec "terminationGracePeriodSeconds") }}
{{ $key }}.spec.terminationGracePeriodSeconds: the worker would not know of it. Remove it and use terminationGracePeriodSeconds of the group.
{{- end }}
{{- if hasKey $spec "shareProcessNamespace" }}
{{ $key }}.spec.shareProcessNamespace: is true, so that a pod that is told to stop while it starts does stop. Remove it.
{{- end }}
{{- range $kind := list "initContainers" "containers" }}
{{- range $container := get $spec $kind | default list }}
{{- $path := printf "%s.spec.%s.%s" $key $kind .name }}
{{- if and (eq .name $own) (eq $kind "containers") }}
{{- include "celery.problems.ownContainer" (dict "key" $path "container" . "worker" $worker) }}
{{- else if not (or .image .command .args) }}
{{ $path }}: has neither an image nor a command. Name it {{ $own }} to change the pod's own container, or say what it runs.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes a dict: key, container (what is stated of it), worker (whether it is one). */}}
{{- define "celery.problems.ownContainer" -}}
{{- if hasKey .container "args" }}
{{ .key }}.args: {{ .worker | ternary "hold the limits that follow from maxTaskSeconds. Remove it; concurrency, pool and config say the rest." "are made by the chart. Remove it." }}
{{- end }}
{{- if and .worker (hasKey .container "image") }}
{{ .key }}.image: a canary could not have another. Remove it and use image of the group.
{{- end }}
{{- if and .worker (get (.container.lifecycle | default dict) "preStop") }}
{{ .key }}.lifecycle.preStop: takes its time from the grace period, and the worker would not know of it. Remove it.
{{- end }}
{{- range .container.volumeMounts }}
{{- if hasPrefix "/etc/celery-runtime" .mountPath }}
{{ $.key }}.volumeMounts: {{ .mountPath }} is where settings and credentials are. Choose another path.
{{- end }}
{{- end }}
{{- range .container.env }}
{{- include "celery.problems.envName" (list (printf "%s.env" $.key) .name) }}
{{- end }}
{{- end -}}
