{{- /* For consul-template, in place of BlueKing's app_upstream.conf.tpl. The servers of an app are those whose check passes (bkapp-bk-iam.json on
each appo); if none does, or the app has no such service, all of its servers from the key-value store, as before; and if there is none
there either, a server that is never asked. So no upstream is ever empty: an empty one fails `nginx -t`, and then Nginx loads no later
change of any app. Apps under test, whose keys begin with `t.`, have services like `bkapp-t-bk-iam`, if any. */ -}}
{{ range parseJSON `["prod", "test"]` }}{{ range ls (print "bkapps/upstreams/" .) }}{{ $servers := .Value | parseJSON }}
upstream {{ .Key }} {
{{- range service (print "bkapp-" (.Key | replaceAll "_" "-" | replaceAll "." "-")) }}
    server {{ .Address }}:{{ .Port }} max_fails=1 fail_timeout=30s;
{{- else }}{{ range $servers }}
    server {{ . }} max_fails=1 fail_timeout=30s;
{{- else }}
    server 127.0.0.1:1 down;
{{- end }}{{ end }}
}
{{ end }}{{ end }}
