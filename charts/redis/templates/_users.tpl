{{/*
Writes the ACL file. Redis reads a password from a file or an argument, never from its environment;
its hash keeps it out of both, and no character of it needs escaping. A newline at its end was typed
by nobody. The default user, nobody's when it is off, keeps its rights: Redis reads its append-only
file as that one, and drops each transaction that it may not do. The probes log in as a user who can
do nothing but ask whether Redis answers.
*/}}
{{- define "redis.writeUsers" -}}
hashes=
for file in /run/secrets/redis/*; do
  [ ! -s "$file" ] || hashes="$hashes #$(printf %s "$(cat "$file")" | sha256sum | cut -c 1-64)"
done
cat > /run/redis/users.acl <<END
{{- with .Values.auth.username }}
user default off ~* &* +@all
user {{ . }} on$hashes ~* &* +@read +@write +@transaction +@pubsub +@scripting +@connection -@dangerous -scan -randomkey -dbsize +info +time
{{- else }}
user default on$hashes ~* &* +@all
{{- end }}
user probe on nopass +ping
END
{{- end -}}

{{- define "redis.probe" -}}
{{- $command := list "redis-cli" "-e" "--no-auth-warning" "--user" "probe" "--pass" "probe" -}}
{{- if .Values.tls.enabled }}{{ $command = concat $command (list "--tls" "--cacert" "/run/tls/ca.crt") }}{{ end -}}
{{- append $command "PING" | toJson -}}
{{- end -}}
