{{/*
The parts of a pod that all Celery processes share. Each takes a dict: root, component, group (for
workers), claim (for beat on a volume), env (more of it, as text), and process: the worker, beat, exporter
or Flower whose resources, env and placement apply. The exporter has an account, a token and volumes of its own.
*/}}

{{- define "celery.podSpec" -}}
serviceAccountName: {{ include "celery.fullname" .root }}-{{ .account | default "celery" }}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
# As process 1 a worker would not notice that it is to stop until it has come up, and would then take
# tasks until it is killed with them.
shareProcessNamespace: true
{{- with concat .root.Values.imagePullSecrets .root.Values.global.imagePullSecrets | uniq }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
volumes:
  {{- if .volumes }}
  {{- .volumes | nindent 2 }}
  {{- else if .root.Values.runtime }}
  - {{ include "celery.runtimeVolume" .root | nindent 4 | trim }}
  {{- end }}
  - name: tmp
    emptyDir: {}
{{- with .claim }}
  - name: schedule
    persistentVolumeClaim: {claimName: {{ . }}}
{{- end }}
{{- with .process.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .process.topologySpreadConstraints }}
topologySpreadConstraints: {{- include "celery.spread" (list $ .) | trim | nindent 2 }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $.process $key }}
{{ $key }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Constraints that say nothing else are about the pods of this one workload, those of a rollout by
themselves: the old ones are about to go. Takes a list: the dict of celery.podSpec, constraints.
*/}}
{{- define "celery.spread" -}}
{{- $labels := include "celery.selectorLabels" (first .) | fromYaml -}}
{{- range $constraint := last . -}}
{{- if not (hasKey $constraint "labelSelector") -}}
{{- $constraint = merge (dict "labelSelector" (dict "matchLabels" $labels) "matchLabelKeys" (list "pod-template-hash")) $constraint -}}
{{- end }}
- {{ toYaml $constraint | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{/* A container without its name, command and probes. */}}
{{- define "celery.container" -}}
image: {{ include "celery.image" (.process.image | default .root.Values.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
env:
  {{- if .root.Values.runtime }}
  - name: CELERY_APP
    value: {{ .root.Values.app | quote }}
  {{- with .group }}
  - name: CELERY_WORKER_GROUP
    value: {{ . | quote }}
  # What still runs then goes back to its queue, before the pod is killed with it in its hands.
  - name: CELERY_RUNTIME_DRAIN_SECONDS
    value: {{ max (int64 $.process.timeLimit) (sub (int64 $.process.terminationGracePeriodSeconds) 15) | quote }}
  {{- end }}
  {{- else }}
  {{- include "celery.urlEnv" .root | trim | nindent 2 }}
  {{- end }}
  {{- range $name, $value := .process.env | default .root.Values.env }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  {{- with .env }}{{ . | trim | nindent 2 }}{{ end }}
{{- with .root.Values.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{ include "celery.confinement" . }}
volumeMounts:
  {{- if .root.Values.runtime }}
  - {name: celery-runtime, mountPath: /etc/celery-runtime, readOnly: true}
  {{- end }}
  - {name: tmp, mountPath: /tmp}
{{- with .claim }}
  - {name: schedule, mountPath: /var/lib/celery-beat}
{{- end }}
{{- end -}}

{{/* What a container may do, and how much it may take. */}}
{{- define "celery.confinement" -}}
securityContext: {{- toYaml .root.Values.securityContext | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{- with .process.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where celery_runtime answers: the probes, and what the exporter asks. */}}
{{- define "celery.healthPort" -}}8080{{- end -}}

{{/*
The probes ask celery_runtime's own endpoint: no broker message, no new interpreter. A start has
startupSeconds; a live process that stops turning is restarted after two minutes. Takes the dict of
celery.podSpec.
*/}}
{{- define "celery.probes" -}}
{{- if not .root.Values.runtime -}}
{{- include "celery.plainProbes" . -}}
{{- else -}}
ports:
  - {name: health, containerPort: {{ include "celery.healthPort" . }}}
startupProbe:
  httpGet: {path: /live, port: health}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: {{ div (add (int64 .process.startupSeconds) 1) 2 }}
readinessProbe:
  httpGet: {path: /ready, port: health}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet: {path: /live, port: health}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}
{{- end -}}

{{/* Kubernetes' ten minutes, or more: a rollout has not failed while its first pod may still start. */}}
{{- define "celery.progressDeadlineSeconds" -}}
{{- max 600 (add (int64 .process.startupSeconds) 60) -}}
{{- end -}}

{{/* What `celery -A` loads. */}}
{{- define "celery.loadedApp" -}}
{{- .Values.runtime | ternary "celery_runtime.app" .Values.app -}}
{{- end -}}

{{/* The arguments of `celery` for a worker group. */}}
{{- define "celery.workerArgs" -}}
{{- $worker := .process -}}
{{- $args := list "-A" (include "celery.loadedApp" .root) "worker"
  (printf "--hostname=%s@%%h" .group)
  (printf "--pool=%s" $worker.pool)
  (printf "--concurrency=%d" (int64 $worker.concurrency))
  (printf "--queues=%s" (join "," $worker.queues))
  (printf "--loglevel=%s" .root.Values.logLevel)
  (printf "--time-limit=%d" (int64 $worker.timeLimit)) -}}
{{- with $worker.softTimeLimit }}{{ $args = append $args (printf "--soft-time-limit=%d" (int64 .)) }}{{ end -}}
{{- with $worker.maxTasksPerChild }}{{ $args = append $args (printf "--max-tasks-per-child=%d" (int64 .)) }}{{ end -}}
{{- /* Events and heartbeats share a connection with the consumer in Celery 5.7: with publisher
confirms a gevent worker then stops for good. */ -}}
{{- $args = concat $args (list "--without-gossip" "--without-mingle" "--without-heartbeat") -}}
{{- if not .root.Values.runtime -}}
{{- $args = concat $args (list "--") (include "celery.plainWorkerSettings" .root | fromJsonArray) -}}
{{- end -}}
{{- $args | toYaml -}}
{{- end -}}
