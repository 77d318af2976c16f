using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .policies),
    (name = "services", external = (address = "127.0.0.1:@services@", http = ())),
    (name = "iam", external = (address = "127.0.0.1:@iam@", http = ())),
  ],
  sockets = [(name = "http", address = "127.0.0.1:@port@", http = (), service = "main")],
);

const policies :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-01-01",
  bindings = [(name = "SERVICES", service = "services"), (name = "IAM", service = "iam")],
);
