{{/* What the manifests share. Each part takes a dict with `root`, the chart's own context. */}}

{{- define "cleanplate.labels" -}}
app.kubernetes.io/name: cleanplate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{ include "cleanplate.component" . }}
{{- end }}

{{- define "cleanplate.selector" -}}
app.kubernetes.io/name: cleanplate
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{ include "cleanplate.component" . }}
{{- end }}

{{- define "cleanplate.component" -}}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "cleanplate.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Environment: settings of all, `own` settings of this program, and those of the Secret but what is `withheld`. */}}
{{- define "cleanplate.environment" -}}
{{- $own := .own | default dict }}
{{- range $name, $value := merge (dict "CLEANPLATE_PUBLIC_URL" .root.Values.publicUrl "CLEANPLATE_METRICS_PORT" "9464" "CLEANPLATE_METRICS_HOST" "0.0.0.0") $own .root.Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- $withheld := .withheld | default list }}
{{- $secret := .root.Values.secret }}
{{- range $name, $key := $secret.keys }}
{{- if and $key (not (has $name $withheld)) }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret.name }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "cleanplate.pod" -}}
serviceAccountName: {{ .root.Values.serviceAccountName }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "cleanplate.container" -}}
imagePullPolicy: {{ .root.Values.imagePullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "cleanplate.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "cleanplate.selector" . | nindent 8 }}
{{- end }}
