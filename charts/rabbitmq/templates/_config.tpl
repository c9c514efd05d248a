{{/* What every node is told, whoever runs it: the operator adds its own to it. */}}
{{- define "rabbitmq.tuning" -}}
{{- $memory := include "rabbitmq.memoryBytes" . | int64 -}}
{{- $storage := include "rabbitmq.bytes" .Values.storage.size | int64 -}}
# A queue that names no type survives the loss of a node.
default_queue_type = quorum
# Milliseconds. A message held longer is taken back and delivered again.
consumer_timeout = {{ mul (.Values.consumerTimeoutSeconds | int64) 1000 }}

# 60 % of the container's memory limit: the rest is for the write-ahead log and garbage
# collection, so that publishers are held back before the kernel kills the node.
vm_memory_high_watermark.absolute = {{ div (mul $memory 6) 10 }}
# RabbitMQ keeps up to four times this in memory; its own default suits a node of 4 GiB or more.
raft.wal_max_size_bytes = {{ min (div $memory 8) 536870912 }}
# A fifth of the volume.
disk_free_limit.absolute = {{ div $storage 5 }}
{{- if gt (int .Values.replicas) 1 }}

# A quorum queue begins on three nodes of those that are there. One that was declared before the
# others had joined, or on a single node, gets the missing ones within a minute.
quorum_queue.continuous_membership_reconciliation.enabled = true
quorum_queue.continuous_membership_reconciliation.target_group_size = 3
# Milliseconds; RabbitMQ's own is an hour. It also looks when a node comes, but a node that starts
# may miss that the others are there.
quorum_queue.continuous_membership_reconciliation.interval = 30000
# Not all on the node that a client happens to be connected to.
queue_leader_locator = balanced
# For the metadata of versions before 4.3: whoever sees no majority stops.
cluster_partition_handling = pause_minority
{{- end }}
{{- end -}}

{{/* The user's own lines come last: of two with one name RabbitMQ takes the later. */}}
{{- define "rabbitmq.ownConfig" -}}
{{- range $name, $value := .Values.config }}
{{ $name }} = {{ kindIs "string" $value | ternary $value (toJson $value) }}
{{- end }}
{{- end -}}

{{/*
What the operator says itself. Peers are listed by name, which needs no access to Kubernetes' API;
where a list is not empty, a new node waits for another one of it before it begins.
*/}}
{{- define "rabbitmq.conf" -}}
log.console = true
log.console.level = info

{{ include "rabbitmq.tuning" . }}
{{- if gt (int .Values.replicas) 1 }}

cluster_formation.peer_discovery_backend = classic_config
{{- range $node := until (int .Values.replicas) }}
cluster_formation.classic_config.nodes.{{ add1 $node }} = {{ include "rabbitmq.nodeName" (list $ (printf "%s-%d" (include "rabbitmq.fullname" $) $node) $.Release.Namespace) }}
{{- end }}
# By far more than the startup probe has patience for: a node that sees no other, or is not let in
# because it lost its volume, would begin a cluster of its own.
cluster_formation.discovery_retry_limit = 10000
{{- end }}
{{- if .Values.definitions.existingSecret }}

load_definitions = {{ include "rabbitmq.definitionsFolder" . }}
{{- end }}
{{- if .Values.tls.enabled }}

listeners.tcp = none
listeners.ssl.default = 5671
management.ssl.port = 15671
{{- range $section := list "ssl_options" "management.ssl" }}
{{ $section }}.certfile = {{ include "rabbitmq.tlsFolder" $ }}/tls.crt
{{ $section }}.keyfile = {{ include "rabbitmq.tlsFolder" $ }}/tls.key
{{- end }}
{{- end }}
{{- include "rabbitmq.ownConfig" . }}
{{- end -}}

{{/* A node's name, which its data directory carries too. Takes a list: context, pod, namespace. */}}
{{- define "rabbitmq.nodeName" -}}
{{- $context := first . -}}
rabbit@{{ index . 1 }}.{{ include "rabbitmq.fullname" $context }}-nodes.{{ last . }}.svc.{{ $context.Values.clusterDomain }}
{{- end -}}
