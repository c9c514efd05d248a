{{/*
The parts of the NetworkPolicies. Each lists whole connections, from the side that opens them: an
answer needs no rule. A rule that names nobody means everybody, so no list of peers may end up empty.
*/}}

{{/* A policy down to its rules; without any it refuses everything. Takes a dict: name, labels, selector. */}}
{{- define "celery.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  labels: {{- .labels | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- .selector | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}

{{/* The same for pods of this chart. Takes the dict of celery.selectorLabels. */}}
{{- define "celery.componentPolicy" -}}
{{- include "celery.policy" (dict
  "name" (printf "%s-%s" (include "celery.fullname" .root) .component)
  "labels" (include "celery.labels" .)
  "selector" (include "celery.selectorLabels" .)) -}}
{{- end -}}

{{/* The pods that have these labels, as a peer. Takes the labels as YAML. */}}
{{- define "celery.peer" -}}
{{- dict "podSelector" (dict "matchLabels" (fromYaml .)) | toJson -}}
{{- end -}}

{{- define "celery.exporterPeer" -}}
{{- include "celery.peer" (include "celery.selectorLabels" (dict "root" . "component" "exporter")) -}}
{{- end -}}

{{/* KEDA's own manifests and its chart call the pods so; nobody knows their namespace. */}}
{{- define "celery.kedaPeer" -}}
{{- dict "namespaceSelector" dict "podSelector" (dict "matchLabels" (dict "app" "keda-operator")) | toJson -}}
{{- end -}}

{{/* Who uses the embedded servers, as JSON: every pod of this chart, and the clients. */}}
{{- define "celery.serverPeers" -}}
{{- $labels := include "celery.selectorLabels" (dict "root" . "component" "any") | fromYaml -}}
{{- $ours := omit $labels "app.kubernetes.io/component" | toYaml -}}
{{- concat (list (include "celery.peer" $ours | fromJson)) .Values.networkPolicy.clients | toJson -}}
{{- end -}}

{{/* Where pods connect to, as YAML. Takes a list: root, and any of dns, broker, results and app. */}}
{{- define "celery.egress" -}}
{{- $root := first . -}}
{{- $rules := list -}}
{{- range $to := rest . -}}
{{- $rules = concat $rules (include (printf "celery.egress.%s" $to) $root | fromJsonArray) -}}
{{- end -}}
{{- $rules | uniq | toYaml -}}
{{- end -}}

{{/* By port alone: the resolver may be pods, or a cache on the node under an address of its own. */}}
{{- define "celery.egress.dns" -}}
{{- list (dict "ports" (list (dict "port" 53 "protocol" "UDP") (dict "port" 53 "protocol" "TCP"))) | toJson -}}
{{- end -}}

{{- define "celery.egress.app" -}}
{{- .Values.networkPolicy.appEgress | toJson -}}
{{- end -}}

{{- define "celery.egress.results" -}}
{{- $endpoint := include "celery.resultsEndpoint" . | fromJson -}}
{{- if eq .Values.resultBackend.mode "embedded" -}}
{{- include "celery.embeddedRule" (list (include "redis.selectorLabels" .Subcharts.redis) $endpoint.port) -}}
{{- else -}}
{{- include "celery.existingRule" (list . (include "celery.serverPorts" $endpoint | fromJsonArray)) -}}
{{- end -}}
{{- end -}}

{{- define "celery.egress.broker" -}}
{{- $endpoint := include "celery.brokerEndpoint" . | fromJson -}}
{{- if eq (include "celery.embedsRabbitmq" .) "true" -}}
{{- include "celery.embeddedRule" (list (include "rabbitmq.podLabels" .Subcharts.rabbitmq) $endpoint.port) -}}
{{- else if eq .Values.broker.mode "embedded" -}}
{{- include "celery.embeddedRule" (list (include "redis.selectorLabels" .Subcharts.redis) $endpoint.port) -}}
{{- else if eq .Values.broker.kind "sqs" -}}
{{- include "celery.sqsRules" . -}}
{{- else -}}
{{- include "celery.existingRule" (list . (include "celery.serverPorts" $endpoint | fromJsonArray)) -}}
{{- end -}}
{{- end -}}

{{/* The ports of a server that is the user's, as JSON; none where only a Secret's url knows. Takes its endpoint. */}}
{{- define "celery.serverPorts" -}}
{{- $usual := eq .kind "redis" | ternary 6379 (empty .tls | ternary 5672 5671) -}}
{{- $ports := list -}}
{{- if .host }}{{ $ports = list (.port | default $usual) }}{{ end -}}
{{- with .sentinel -}}
{{- /* The master's own port is what the sentinels say; this is Redis' own. */ -}}
{{- $ports = list $usual -}}
{{- range .hosts }}{{ $ports = append $ports (last (splitList ":" .) | int) }}{{ end -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end -}}

{{/* HTTPS, and what gives a pod its identity, which answers under an address of the link. */}}
{{- define "celery.sqsRules" -}}
{{- $ports := list 443 -}}
{{- with .Values.broker.endpoint -}}
{{- $given := regexFind ":[0-9]+$" (urlParse .).host | trimPrefix ":" -}}
{{- $ports = append $ports ($given | default (hasPrefix "https:" . | ternary 443 80) | int) -}}
{{- end -}}
{{- $rules := include "celery.existingRule" (list . $ports) | fromJsonArray -}}
{{- if not .Values.broker.existingSecret -}}
{{- $link := dict "ipBlock" (dict "cidr" "169.254.0.0/16") -}}
{{- $rules = append $rules (dict "to" (list $link) "ports" (list (dict "port" 80))) -}}
{{- end -}}
{{- $rules | toJson -}}
{{- end -}}

{{/* Takes a list: the labels of an embedded server's pods as YAML, and its port. */}}
{{- define "celery.embeddedRule" -}}
{{- $peer := include "celery.peer" (first .) | fromJson -}}
{{- list (dict "to" (list $peer) "ports" (list (dict "port" (last .)))) | toJson -}}
{{- end -}}

{{/* Takes a list: root, and the ports of a server that is the user's; none where only a Secret knows. */}}
{{- define "celery.existingRule" -}}
{{- $rule := dict -}}
{{- with (first .).Values.networkPolicy.existingServers }}{{ $_ := set $rule "to" . }}{{ end -}}
{{- with last . -}}
{{- $ports := list -}}
{{- range uniq . }}{{ $ports = append $ports (dict "port" .) }}{{ end -}}
{{- $_ := set $rule "ports" $ports -}}
{{- end -}}
{{- list $rule | toJson -}}
{{- end -}}
