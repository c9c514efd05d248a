{{- define "rabbitmq.definitionsFolder" -}}/var/lib/rabbitmq/definitions{{- end -}}

{{/*
RabbitMQ makes no user of its own where it is given definitions. So the user and its vhost are a file
of them, which is read before the given one.
*/}}
{{- define "rabbitmq.definitionsScript" -}}
escaped() { printf %s "$1" | sed 's/[\\"]/\\&/g'; }
user=$(escaped "$RABBITMQ_DEFAULT_USER")
password=$(escaped "$RABBITMQ_DEFAULT_PASS")
umask 077
mkdir -p {{ include "rabbitmq.definitionsFolder" . }}
cd {{ include "rabbitmq.definitionsFolder" . }}
cat >10-user.json <<END
{"vhosts": [{"name": "/"}],
 "users": [{"name": "$user", "password": "$password", "tags": ["administrator"]}],
 "permissions": [{"user": "$user", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}
END
cp /run/secrets/rabbitmq-definitions/definitions.json 20-given.json
{{- end -}}

{{/* Lays out what nodes import; empty where no definitions are given. */}}
{{- define "rabbitmq.definitionsContainer" -}}
{{- if .Values.definitions.existingSecret -}}
- name: definitions
  image: {{ include "rabbitmq.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [sh, -ec, {{ include "rabbitmq.definitionsScript" . | quote }}]
  env: {{- include "rabbitmq.userEnv" . | nindent 4 }}
  {{- include "rabbitmq.containerSecurity" . | nindent 2 }}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 32Mi}
  volumeMounts:
    - {name: home, mountPath: /var/lib/rabbitmq}
    - {name: definitions, mountPath: /run/secrets/rabbitmq-definitions, readOnly: true}
{{- end -}}
{{- end -}}
