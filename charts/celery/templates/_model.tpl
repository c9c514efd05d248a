{{/*
What the values mean. Templates of objects read these helpers, never the raw worker map; each
answers JSON, for `fromJson`.
*/}}

{{/*
The worker groups by name: workerDefaults, overwritten by what the group states, plus what follows
from both: name, image, timeLimit, softTimeLimit (prefork), terminationGracePeriodSeconds, podTemplates
(in the order in which they are laid on), scaled (by something else than its replicas), leastReplicas.
A group set to null is left out. Unchecked, and without canaries: celery.workers is the one to use.
*/}}
{{- define "celery.mergedWorkers" -}}
{{- $workers := dict -}}
{{- range $group, $stated := .Values.workers -}}
{{- if not (kindIs "invalid" $stated) -}}
{{- $worker := mergeOverwrite (deepCopy $.Values.workerDefaults) (deepCopy $stated) -}}
{{- $seconds := int64 $worker.maxTaskSeconds -}}
{{- $_ := set $worker "name" (printf "%s-worker-%s" (include "celery.fullname" $) $group) -}}
{{- $_ := set $worker "env" (mergeOverwrite (deepCopy $.Values.env) ($worker.env | default dict)) -}}
{{- $_ := set $worker "timeLimit" $seconds -}}
{{- if eq $worker.pool "prefork" -}}
{{- $_ := set $worker "softTimeLimit" (sub $seconds (max 1 (min 30 (div $seconds 10)))) -}}
{{- else -}}
{{- $_ := unset $worker "maxTasksPerChild" -}}
{{- end -}}
{{- if kindIs "invalid" $worker.terminationGracePeriodSeconds -}}
{{- $_ := set $worker "terminationGracePeriodSeconds" (add $seconds 30) -}}
{{- end -}}
{{- /* A null that merging would not see: not scaled, whatever workerDefaults says. */ -}}
{{- if and (hasKey $stated "autoscaling") (kindIs "invalid" $stated.autoscaling) }}{{ $_ := unset $worker "autoscaling" }}{{ end -}}
{{- $_ := set $worker "image" (include "celery.otherImage" (list $.Values.image $stated.image) | fromJson) -}}
{{- $_ := set $worker "podTemplates" (list $.Values.workerDefaults.podTemplate $stated.podTemplate) -}}
{{- $_ := set $worker "scaled" (and (ne $.Values.autoscaling.mode "none") (not (empty $worker.autoscaling))) -}}
{{- $_ := set $worker "leastReplicas" ($worker.scaled | ternary (dig "autoscaling" "minReplicas" 0 $worker) $worker.replicas) -}}
{{- $_ := set $workers $group $worker -}}
{{- end -}}
{{- end -}}
{{- $workers | toJson -}}
{{- end -}}

{{/*
The worker groups, once everything in the values has been found to work. A canary is a group of its own
beside the one it belongs to: nothing that selects or counts the pods of one sees those of the other.
*/}}
{{- define "celery.workers" -}}
{{- include "celery.validate" . -}}
{{- $workers := include "celery.mergedWorkers" . | fromJson -}}
{{- $all := deepCopy $workers -}}
{{- range $group, $worker := $workers -}}
{{- with $worker.canary -}}
{{- $replicas := hasKey . "replicas" | ternary .replicas 1 -}}
{{- $_ := set $all (printf "%s-canary" $group) (mergeOverwrite (deepCopy $worker) (dict
  "name" (printf "%s-canary" $worker.name)
  "image" (include "celery.otherImage" (list $worker.image .image) | fromJson)
  "scaled" false "replicas" $replicas "leastReplicas" $replicas)) -}}
{{- end -}}
{{- end -}}
{{- $all | toJson -}}
{{- end -}}

{{/*
An image with what is stated of another one. A digest belongs to one repository and one tag. Takes a
list: the image, and what is stated.
*/}}
{{- define "celery.otherImage" -}}
{{- $stated := last . | default dict -}}
{{- $image := mergeOverwrite (deepCopy (first .)) $stated -}}
{{- if and (or $stated.repository $stated.tag) (not $stated.digest) }}{{ $_ := set $image "digest" "" }}{{ end -}}
{{- $image | toJson -}}
{{- end -}}

{{/* Beat's schedule without the entries that are set to null. */}}
{{- define "celery.schedule" -}}
{{- $schedule := dict -}}
{{- range $name, $entry := .Values.beat.schedule -}}
{{- if not (kindIs "invalid" $entry) }}{{ $_ := set $schedule $name $entry }}{{ end -}}
{{- end -}}
{{- $schedule | toJson -}}
{{- end -}}

{{/*
The keys of broker that say where one of a kind is and how it is used, by kind. What is not among
them for a kind does not belong to it.
*/}}
{{- define "celery.brokerKeys" -}}
{{- dict
  "rabbitmq" (list "host" "port" "vhost" "tls")
  "redis" (list "host" "port" "database" "tls" "keyPrefix" "sentinel" "visibilityTimeoutSeconds")
  "sqs" (list "region" "endpoint" "queuePrefix" "queueUrls" "visibilityTimeoutSeconds") | toJson -}}
{{- end -}}

{{/* Where broker and result backend are; only what the user or a subchart says. */}}
{{- define "celery.brokerEndpoint" -}}
{{- $given := .Values.broker -}}
{{- $endpoint := dict "kind" $given.kind -}}
{{- range $key := get (include "celery.brokerKeys" . | fromJson) $given.kind -}}
{{- with get $given $key }}{{ $_ := set $endpoint $key . }}{{ end -}}
{{- end -}}
{{- if eq (include "celery.embedsRabbitmq" .) "true" -}}
{{- with .Subcharts.rabbitmq -}}
{{- $_ := merge $endpoint (dict "host" (include "rabbitmq.fullname" .) "port" (include "rabbitmq.amqpPort" . | int) "vhost" "/") -}}
{{- if .Values.tls.enabled }}{{ $_ := set $endpoint "tls" true }}{{ end -}}
{{- end -}}
{{- else if eq $given.mode "embedded" -}}
{{- /* Beside the results, which keep 0. */ -}}
{{- $_ := merge $endpoint (dict "database" 1) (include "celery.embeddedRedis" . | fromJson) -}}
{{- end -}}
{{- $endpoint | toJson -}}
{{- end -}}

{{- define "celery.resultsEndpoint" -}}
{{- $endpoint := dict "kind" .Values.resultBackend.kind -}}
{{- if eq .Values.resultBackend.mode "embedded" -}}
{{- $_ := merge $endpoint (dict "database" 0) (include "celery.embeddedRedis" . | fromJson) -}}
{{- else -}}
{{- range $key := list "host" "port" "database" "tls" "sentinel" -}}
{{- with get $.Values.resultBackend $key }}{{ $_ := set $endpoint $key . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $endpoint | toJson -}}
{{- end -}}

{{/* The embedded Redis, for both of its roles. */}}
{{- define "celery.embeddedRedis" -}}
{{- $redis := .Subcharts.redis -}}
{{- $endpoint := dict "host" (include "redis.fullname" $redis) "port" 6379 -}}
{{- with $redis.Values.auth.username }}{{ $_ := set $endpoint "username" . }}{{ end -}}
{{- if $redis.Values.tls.enabled }}{{ $_ := set $endpoint "tls" true }}{{ end -}}
{{- $endpoint | toJson -}}
{{- end -}}

{{/* Which subcharts are in use, RabbitMQ's for the operator too: "true" or "false". */}}
{{- define "celery.embedsRabbitmq" -}}
{{- with .Values.broker }}{{ and (has .mode (list "embedded" "operator")) (eq .kind "rabbitmq") }}{{ end -}}
{{- end -}}

{{- define "celery.embedsRedis" -}}
{{- $broker := .Values.broker -}}
{{- or (and (eq $broker.mode "embedded") (eq $broker.kind "redis")) (eq .Values.resultBackend.mode "embedded") -}}
{{- end -}}

{{/* The longest task of all groups, in seconds. */}}
{{- define "celery.maxTaskSeconds" -}}
{{- $longest := 0 -}}
{{- range include "celery.mergedWorkers" . | fromJson }}{{ $longest = max $longest (int64 .timeLimit) }}{{ end -}}
{{- $longest -}}
{{- end -}}

{{/* The user's settings, under those without which an exporter that counts events would see none. */}}
{{- define "celery.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if or .Values.flower.enabled (and .Values.exporter.enabled (eq (include "celery.tasksFrom" .) "events")) -}}
{{- range $name := list "worker_send_task_events" "task_send_sent_event" -}}
{{- if not (hasKey $config $name) }}{{ $_ := set $config $name true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $config | toJson -}}
{{- end -}}

{{/* What celery_runtime reads as settings.json. Its defaults live there: nothing is added here. */}}
{{- define "celery.settings" -}}
{{- include "celery.validate" . -}}
{{- $queues := dict -}}
{{- range $name, $queue := .Values.queues }}{{ $_ := set $queues $name ($queue | default dict) }}{{ end -}}
{{- $settings := dict
  "broker" (include "celery.brokerEndpoint" . | fromJson)
  "resultBackend" (include "celery.resultsEndpoint" . | fromJson)
  "defaultQueue" .Values.defaultQueue
  "queues" $queues
  "maxTaskSeconds" (include "celery.maxTaskSeconds" . | int64) -}}
{{- if .Values.beat.enabled -}}
{{- $beat := dict -}}
{{- with include "celery.schedule" . | fromJson }}{{ $_ := set $beat "schedule" . }}{{ end -}}
{{- /* Of its own even where releases of several namespaces share one Redis database. */ -}}
{{- if eq .Values.beat.store "redis" }}{{ $_ := set $beat "keyPrefix" (printf "redbeat:%s/%s:" .Release.Namespace (include "celery.fullname" .)) }}{{ end -}}
{{- with $beat }}{{ $_ := set $settings "beat" . }}{{ end -}}
{{- end -}}
{{- with include "celery.config" . | fromJson }}{{ $_ := set $settings "config" . }}{{ end -}}
{{- $settings | toPrettyJson -}}
{{- end -}}
