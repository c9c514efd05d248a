{{/*
How a worker group grows and shrinks. The exporter's number counts what runs; every other metric may
be low while tasks run, so that a group shrinks only when the longest of them has ended.
*/}}

{{/*
Seconds for which the metric has been low before pods go. What the exporter wants counts a running
task for its slot, and for its pod once it has run for 15 s: by then it has ended, or keeps its pod.
Takes a dict: root, worker.
*/}}
{{- define "celery.scaleInSeconds" -}}
{{- has .root.Values.autoscaling.mode (list "keda" "hpa") | ternary 30 (add .worker.timeLimit 30) -}}
{{- end -}}

{{/* `behavior` of autoscaling/v2, which allows a window of an hour at most. Takes a dict: root, worker. */}}
{{- define "celery.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies: [{type: Pods, value: {{ .worker.autoscaling.maxReplicas }}, periodSeconds: 15}]
scaleDown:
  stabilizationWindowSeconds: {{ min 3600 (include "celery.scaleInSeconds" .) }}
  policies: [{type: Percent, value: 100, periodSeconds: 15}]
{{- end -}}

{{/* The metrics of a plain HPA. Takes a dict: root, group, worker. */}}
{{- define "celery.hpaMetrics" -}}
{{- $values := .root.Values.autoscaling -}}
{{- $external := list -}}
{{- if eq $values.mode "hpa" -}}
{{- $external = list (list "celery_desired_replicas" (dict "group" .group) 1) -}}
{{- else if eq $values.mode "queue-length" -}}
{{- range $queue := .worker.queues -}}
{{- $external = append $external (list "rabbitmq_queue_messages_ready" (dict "queue" $queue) $values.messagesPerReplica) -}}
{{- end -}}
{{- else }}
# Not what sidecars take.
- type: ContainerResource
  containerResource:
    name: cpu
    container: worker
    target: {type: Utilization, averageUtilization: 80}
{{- end }}
{{- range $metric := $external }}
- type: External
  external:
    metric:
      name: {{ first $metric }}
      selector:
        matchLabels: {{- index $metric 1 | toYaml | nindent 10 }}
    target: {type: AverageValue, averageValue: {{ last $metric | quote }}}
{{- end }}
{{- end -}}

{{/*
The triggers of a ScaledObject, as JSON. Takes a dict: root, group, worker. KEDA's own have a name,
because their sum counts: KEDA alone would take the longest queue.
*/}}
{{- define "celery.triggers" -}}
{{- $kind := eq .root.Values.autoscaling.mode "keda" | ternary "push" .root.Values.broker.kind -}}
{{- $authentication := include "celery.kedaAuthentication" .root | fromJson -}}
{{- $triggers := list -}}
{{- range $index, $trigger := include (printf "celery.%sTriggers" $kind) . | fromJsonArray -}}
{{- if ne $kind "push" }}{{ $_ := set $trigger "name" (printf "q%d" $index) }}{{ end -}}
{{- if $authentication }}{{ $_ := set $trigger "authenticationRef" (dict "name" (include "celery.kedaAuthenticationName" $.root)) }}{{ end -}}
{{- $triggers = append $triggers $trigger -}}
{{- end -}}
{{- $triggers | toJson -}}
{{- end -}}

{{- define "celery.pushTriggers" -}}
{{- $address := printf "%s-exporter.%s:9809" (include "celery.fullname" .root) .root.Release.Namespace -}}
{{- $metadata := dict "scalerAddress" $address "group" .group -}}
{{- if eq (include "celery.usesTls" .root) "true" }}{{ $_ := set $metadata "enableTLS" "true" }}{{ end -}}
{{- list (dict "type" "external-push" "metadata" $metadata) | toJson -}}
{{- end -}}

{{/*
The embedded RabbitMQ is asked by its management API, which counts what workers hold, too. Of
another one only AMQP is known, which counts what waits.
*/}}
{{- define "celery.rabbitmqTriggers" -}}
{{- $endpoint := include "celery.brokerEndpoint" .root | fromJson -}}
{{- $metadata := dict "mode" "QueueLength" "value" (print .worker.concurrency) -}}
{{- with $endpoint.host -}}
{{- $host := include "celery.kedaHost" (list $.root .) -}}
{{- if eq (include "celery.embedsRabbitmq" $.root) "true" -}}
{{- $_ := set $metadata "host" (printf "http://%s:%s" $host (include "rabbitmq.managementPort" $.root.Subcharts.rabbitmq)) -}}
{{- else -}}
{{- $scheme := empty $endpoint.tls | ternary "amqp" "amqps" -}}
{{- $port := $endpoint.port | default (empty $endpoint.tls | ternary 5672 5671) -}}
{{- $_ := set $metadata "host" (printf "%s://%s:%v" $scheme $host $port) -}}
{{- end -}}
{{- $_ := set $metadata "vhostName" ($endpoint.vhost | default "/") -}}
{{- end -}}
{{- $triggers := list -}}
{{- range $queue := .worker.queues -}}
{{- $triggers = append $triggers (dict "type" "rabbitmq" "metadata" (merge (dict "queueName" $queue) $metadata)) -}}
{{- end -}}
{{- $triggers | toJson -}}
{{- end -}}

{{/* A list for each priority, named as kombu names them. */}}
{{- define "celery.redisTriggers" -}}
{{- $endpoint := include "celery.brokerEndpoint" .root | fromJson -}}
{{- $steps := dig "broker_transport_options" "priority_steps" (list 0 3 6 9) .root.Values.config -}}
{{- $metadata := dict "databaseIndex" (print ($endpoint.database | default 0)) "listLength" (print .worker.concurrency) -}}
{{- if $endpoint.tls }}{{ $_ := set $metadata "enableTLS" "true" }}{{ end -}}
{{- with $endpoint.username }}{{ $_ := set $metadata "username" . }}{{ end -}}
{{- with $endpoint.sentinel -}}
{{- $hosts := list -}}
{{- range .hosts }}{{ $hosts = append $hosts (include "celery.kedaHost" (list $.root .)) }}{{ end -}}
{{- $_ := merge $metadata (dict "addresses" (join "," $hosts) "sentinelMaster" .master) -}}
{{- else -}}
{{- $_ := set $metadata "address" (printf "%s:%v" (include "celery.kedaHost" (list .root $endpoint.host)) ($endpoint.port | default 6379)) -}}
{{- end -}}
{{- $type := $endpoint.sentinel | empty | ternary "redis" "redis-sentinel" -}}
{{- $triggers := list -}}
{{- range $queue := .worker.queues -}}
{{- range $step := $steps -}}
{{- $list := printf "%s%s" ($endpoint.keyPrefix | default "") $queue -}}
{{- if $step }}{{ $list = printf "%s\x06\x16%v" $list $step }}{{ end -}}
{{- $triggers = append $triggers (dict "type" $type "metadata" (merge (dict "listName" $list) $metadata)) -}}
{{- end -}}
{{- end -}}
{{- $triggers | toJson -}}
{{- end -}}

{{- define "celery.sqsTriggers" -}}
{{- $broker := .root.Values.broker -}}
{{- $triggers := list -}}
{{- range $queue := .worker.queues -}}
{{- $url := get $broker.queueUrls $queue | default (print $broker.queuePrefix $queue) -}}
{{- $metadata := dict "queueURL" $url "awsRegion" $broker.region "queueLength" (print $.worker.concurrency) -}}
{{- with $broker.endpoint }}{{ $_ := set $metadata "awsEndpoint" . }}{{ end -}}
{{- $triggers = append $triggers (dict "type" "aws-sqs-queue" "metadata" $metadata) -}}
{{- end -}}
{{- $triggers | toJson -}}
{{- end -}}

{{/* KEDA looks from its own namespace, where a Service's bare name is not known. Takes a list: root, host. */}}
{{- define "celery.kedaHost" -}}
{{- $parts := splitn ":" 2 (last .) -}}
{{- if contains "." $parts._0 -}}
{{- last . -}}
{{- else -}}
{{- printf "%s.%s" $parts._0 (first .).Release.Namespace -}}{{ with $parts._1 }}:{{ . }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "celery.kedaAuthenticationName" -}}
{{ include "celery.fullname" . }}-{{ eq .Values.autoscaling.mode "keda" | ternary "exporter" "broker" }}
{{- end -}}

{{/* The spec of the TriggerAuthentication, as JSON; empty where KEDA needs none. */}}
{{- define "celery.kedaAuthentication" -}}
{{- $spec := dict -}}
{{- $references := list -}}
{{- if eq .Values.autoscaling.mode "keda" -}}
{{- if eq (include "celery.usesTls" .) "true" -}}
{{- range $parameter, $key := dict "caCert" "ca.crt" "tlsClientCert" "tls.crt" "tlsClientKey" "tls.key" -}}
{{- $references = append $references (dict "parameter" $parameter "name" (include "celery.tlsSecretName" $) "key" $key) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- /* What KEDA takes of a broker's Secret. Of RabbitMQ's authority it cannot be told this way. */ -}}
{{- $parameters := get (dict
  "rabbitmq" (dict "username" "username" "password" "password" "url" "host")
  "redis" (dict "username" "username" "password" "password" "ca.crt" "ca" "sentinel-password" "sentinelPassword")
  "sqs" (dict "username" "awsAccessKeyID" "password" "awsSecretAccessKey")) .Values.broker.kind -}}
{{- range $secret := include "celery.brokerCredentials" . | fromJsonArray -}}
{{- range $key := $secret.keys -}}
{{- with get $parameters $key }}{{ $references = append $references (dict "parameter" . "name" $secret.name "key" $key) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.broker.kind "sqs") (not $references) }}{{ $_ := set $spec "podIdentity" (dict "provider" "aws") }}{{ end -}}
{{- end -}}
{{- with $references }}{{ $_ := set $spec "secretTargetRef" . }}{{ end -}}
{{- $spec | toJson -}}
{{- end -}}
