{{/* Names, labels and what every object shares. Templates that take a list are called with (list $ "component"). */}}

{{- define "airflow.labels" -}}
{{- $root := index . 0 -}}
{{ include "airflow.selector" . }}
app.kubernetes.io/name: airflow
{{- with $root.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "airflow.selector" -}}
{{- $root := index . 0 -}}
tier: airflow
component: {{ index . 1 }}
release: {{ $root.Release.Name }}
{{- end }}

{{/* What an object is called and where it lives: (list $ "component" "name after the release's"). */}}
{{- define "airflow.metadata" -}}
{{- $root := index . 0 -}}
name: {{ $root.Release.Name }}{{ with index . 2 }}-{{ . }}{{ end }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "airflow.labels" . | nindent 2 }}
{{- end }}

{{/* An image of the values: a repository with a digest, or else a tag */}}
{{- define "airflow.image" -}}
{{- $registry := "" -}}
{{- with .registry }}{{ $registry = printf "%s/" . }}{{ end -}}
{{- if .digest -}}
{{ $registry }}{{ .repository }}@{{ .digest }}
{{- else -}}
{{ $registry }}{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end }}

{{- define "airflow.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: ["ALL"]
readOnlyRootFilesystem: true
{{- end }}

{{- define "airflow.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .group }}
fsGroup: {{ .group }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Where a pod may run: (list $ "component" values-of-the-component); a component's own setting goes first. */}}
{{- define "airflow.placement" -}}
{{- $root := index . 0 -}}
{{- $own := index . 2 -}}
enableServiceLinks: false  # their variables would look like settings of ours
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName | default $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.nodeSelector | default $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity | default $root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations | default $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- with $own.topologySpreadConstraints | default $root.Values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "airflow.selector" (list $root (index . 1)) | nindent 8 }}
{{- end }}
{{- end }}

{{/* (list $ "component" "name" values-of-the-component) */}}
{{- define "airflow.podDisruptionBudget" -}}
{{- with (index . 3).podDisruptionBudget }}
{{- if .enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "airflow.metadata" $ | nindent 2 }}
spec:
  {{- toYaml .config | nindent 2 }}
  selector:
    matchLabels:
      {{- include "airflow.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* A component as a NetworkPolicy names it: (list $ "component") */}}
{{- define "airflow.peer" -}}
podSelector:
  matchLabels:
    {{- include "airflow.selector" . | nindent 4 }}
{{- end }}
