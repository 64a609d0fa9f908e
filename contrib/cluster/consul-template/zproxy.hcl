# consul-template: /etc/consul-template.d/zproxy.hcl. Makes a file of zproxy.ini.ctmpl; zproxyctl checks it, puts it in
# place of the configuration of the running zproxy, and reloads, or leaves the last one.
#
# To change: the address of Consul, the paths. To try: consul-template -config=zproxy.hcl -dry -once
consul {
  address = "127.0.0.1:8500"
}

# Changes that come together become one reload.
wait {
  min = "250ms"
  max = "2s"
}

template {
  source      = "/etc/consul-template.d/zproxy.ini.ctmpl"
  # not the file that zproxy reads: zproxyctl replaces that one when the new one is known to be good
  destination = "/etc/zproxy.ini.consul"
  perms       = 0644

  exec {
    command = ["zproxyctl", "apply", "/etc/zproxy.ini.consul"]
    timeout = "30s"
  }
}
