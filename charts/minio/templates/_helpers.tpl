{{- define "minio.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name alone where it names the chart already, as kustomize's release `minio` does. */}}
{{- define "minio.fullname" -}}
{{- $name := include "minio.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What a selector may use: it never changes. */}}
{{- define "minio.selector" -}}
app: {{ include "minio.name" . }}
release: {{ .Release.Name }}
{{- end }}

{{- define "minio.labels" -}}
{{ include "minio.selector" . }}
chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "minio.root" -}}
{{ .Values.bucketRoot | default .Values.mountPath }}
{{- end }}
