{{/* The parts that all pods of Airflow's own processes are made of. */}}

{{/* airflow.cfg, and airflow_local_settings.py if there is one */}}
{{- define "airflow.configuration" -}}
airflow.cfg: |
  {{- range $section, $options := .Values.config }}
  [{{ $section }}]
  {{- range $option, $value := $options }}
  {{- if kindIs "string" $value }}
  {{ $option }} = {{ tpl $value $ }}
  {{- else if kindIs "float64" $value }}
  {{ $option }} = {{ ternary (int64 $value | toString) (toString $value) (eq (floor $value) $value) }}
  {{- else if not (kindIs "invalid" $value) }}
  {{ $option }} = {{ $value }}
  {{- end }}
  {{- end }}
  {{- end }}
{{- with .Values.airflowLocalSettings }}
airflow_local_settings.py: |
  {{- tpl . $ | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* Labels, and annotations that roll the pods when airflow.cfg changes: (list $ "component" values access-labels) */}}
{{- define "airflow.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $own := index . 2 -}}
labels:
  {{- include "airflow.labels" . | nindent 2 }}
  {{- range index . 3 }}
  fieldpipe/{{ . }}: "true"
  {{- end }}
  {{- with $own.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/airflow-config: {{ include "airflow.configuration" $root | sha256sum }}
  {{- with merge (dict) ($own.podAnnotations | default dict) $root.Values.airflowPodAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* (list $ "component" values has-a-token) */}}
{{- define "airflow.podSpec" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ $root.Release.Name }}
automountServiceAccountToken: {{ index . 3 }}
{{ include "airflow.placement" . }}
securityContext:
  {{- include "airflow.podSecurityContext" (dict "user" $root.Values.uid "group" $root.Values.gid) | nindent 2 }}
{{- end }}

{{- define "airflow.container" -}}
image: {{ include "airflow.image" .Values.images.airflow }}
imagePullPolicy: {{ .Values.images.airflow.pullPolicy }}
securityContext:
  {{- include "airflow.containerSecurityContext" . | nindent 2 }}
volumeMounts:
  {{- include "airflow.volumeMounts" . | nindent 2 }}
{{- end }}

{{/* The root filesystem is read-only; what Airflow writes goes to volumes that end with the pod. */}}
{{- define "airflow.volumes" -}}
- name: config
  configMap:
    name: {{ .Release.Name }}-config
- name: home
  emptyDir:
    sizeLimit: 256Mi
- name: logs
  emptyDir:
    {{- toYaml .Values.logs.emptyDirConfig | nindent 4 }}
- name: tmp
  emptyDir:
    sizeLimit: 1Gi
{{- end }}

{{- define "airflow.volumeMounts" -}}
- name: home
  mountPath: {{ .Values.airflowHome }}
- name: logs
  mountPath: {{ .Values.airflowHome }}/logs
- name: tmp
  mountPath: /tmp
- name: config
  mountPath: {{ .Values.airflowHome }}/airflow.cfg
  subPath: airflow.cfg
  readOnly: true
{{- if .Values.airflowLocalSettings }}
- name: config
  mountPath: {{ .Values.airflowHome }}/config/airflow_local_settings.py
  subPath: airflow_local_settings.py
  readOnly: true
{{- end }}
{{- end }}

{{/* Settings that are no secrets are in airflow.cfg. */}}
{{- define "airflow.secretEnv" -}}
{{- $values := .Values -}}
- name: AIRFLOW_HOME
  value: {{ $values.airflowHome | quote }}
- name: HOME
  value: {{ $values.airflowHome | quote }}
- name: AIRFLOW__API__SECRET_KEY
  {{- include "airflow.fromSecret" (list $values.apiSecretKeySecretName "api-secret-key") | nindent 2 }}
- name: AIRFLOW__API_AUTH__JWT_SECRET
  {{- include "airflow.fromSecret" (list $values.jwtSecretName "jwt-secret") | nindent 2 }}
- name: AIRFLOW__CELERY__BROKER_URL
  {{- include "airflow.fromSecret" (list $values.data.brokerUrlSecretName "connection") | nindent 2 }}
- name: AIRFLOW__CELERY__RESULT_BACKEND
  {{- include "airflow.fromSecret" (list $values.data.resultBackendSecretName "connection") | nindent 2 }}
- name: AIRFLOW__CORE__FERNET_KEY
  {{- include "airflow.fromSecret" (list $values.fernetKeySecretName "fernet-key") | nindent 2 }}
- name: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN
  {{- include "airflow.fromSecret" (list $values.data.metadataSecretName "connection") | nindent 2 }}
{{- end }}

{{- define "airflow.fromSecret" -}}
valueFrom:
  secretKeyRef:
    name: {{ index . 0 }}
    key: {{ index . 1 }}
{{- end }}

{{- define "airflow.customEnv" -}}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- range .Values.secret }}
- name: {{ .envName }}
  {{- include "airflow.fromSecret" (list .secretName .secretKey) | nindent 2 }}
{{- end }}
{{- with .Values.extraEnv }}
{{ tpl . $ | trim }}
{{- end }}
{{- end }}

{{/* envFrom and env of a component, which may add entries after it: (list $ values) */}}
{{- define "airflow.env" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.extraEnvFrom -}}
envFrom:
  {{- tpl . $root | trim | nindent 2 }}
{{ end -}}
env:
  {{- include "airflow.secretEnv" $root | nindent 2 }}
  {{- with include "airflow.customEnv" $root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with (index . 1).env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* env of a Job. It cannot be changed, so it sees no name with a hash of its content in it, unless asked to. */}}
{{- define "airflow.jobEnv" -}}
{{- $root := index . 0 -}}
{{- if (index . 1).applyCustomEnv }}
{{- include "airflow.env" (list $root dict) }}
{{- else -}}
env:
  {{- include "airflow.secretEnv" $root | nindent 2 }}
{{- end }}
{{- end }}

{{- define "airflow.waitForMigrations" -}}
- name: wait-for-airflow-migrations
  {{- include "airflow.container" . | nindent 2 }}
  # In one container: whoever is restarted waits longer each time, and after the migration for nothing. A trial takes a
  # processor for seconds: seven pods that hardly pause would take two from the database that they wait for.
  command: ["/bin/sh", "-c"]
  args:
    - |
      trap 'exit 143' TERM
      until airflow db check-migrations --migration-wait-timeout={{ .Values.images.migrationsWaitTimeout }} & wait $!; do
        sleep 10 & wait $!
      done
  env:
    {{- include "airflow.secretEnv" . | nindent 4 }}
  resources:
    requests: {cpu: 50m, memory: 256Mi}
    limits: {memory: 768Mi}
{{- end }}

{{/* Probe timings from the values, what is asked from the template: (list "livenessProbe" values handler) */}}
{{- define "airflow.probe" -}}
{{ index . 0 }}:
  {{- toYaml (index . 2) | nindent 2 }}
  {{- toYaml (index (index . 1) (index . 0)) | nindent 2 }}
{{- end }}

{{/* Deletes local log files nobody wrote to for days, before they fill the volume: (list $ values) */}}
{{- define "airflow.logGroomer" -}}
{{- $root := index . 0 -}}
{{- with (index . 1).logGroomerSidecar }}
{{- if .enabled }}
- name: log-groomer
  image: {{ include "airflow.image" $root.Values.images.airflow }}
  imagePullPolicy: {{ $root.Values.images.airflow.pullPolicy }}
  securityContext:
    {{- include "airflow.containerSecurityContext" $root | nindent 4 }}
  command: ["/bin/sh", "-c"]
  args:
    - |
      trap 'exit 0' TERM
      while true; do
        find "$LOGS" -type f -mtime "+$RETENTION_DAYS" -delete
        find "$LOGS" -mindepth 1 -type d -empty -mtime "+$RETENTION_DAYS" -delete
        sleep "$FREQUENCY_SECONDS" & wait $!
      done
  env:
    - name: LOGS
      value: {{ $root.Values.airflowHome }}/logs
    - name: RETENTION_DAYS
      value: {{ .retentionDays | quote }}
    - name: FREQUENCY_SECONDS
      value: {{ mul .frequencyMinutes 60 | quote }}
  volumeMounts:
    - name: logs
      mountPath: {{ $root.Values.airflowHome }}/logs
  resources:
    {{- toYaml .resources | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
