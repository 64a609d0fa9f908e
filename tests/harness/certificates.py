"""Certificates for tests: a CA and what it signs, made by openssl in a directory of the test."""

import datetime
import subprocess

from .machine import find_program, need


class Authority:
    """Makes certificates in directory. Each has one file with chain and key: .path(name)."""

    def __init__(self, directory, name="ca"):
        self.directory, self.name = directory, name
        self.openssl = find_program("openssl")
        need(self.openssl, "openssl is not installed")
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-keyout", f"{directory}/{name}.key", "-out", self.ca, "-days", "3650",
                  "-subj", f"/CN=Test {name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _run(self, *words):
        subprocess.run([self.openssl, *words], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    @property
    def ca(self):
        return f"{self.directory}/{self.name}.pem"

    def path(self, name):
        return f"{self.directory}/{name}.pem"

    def _config(self):
        """The configuration of `openssl ca`, which takes any dates; `openssl x509` does from 3.4 on."""
        path = f"{self.directory}/{self.name}.conf"
        with open(f"{path}.index", "w"):
            pass
        with open(path, "w") as f:
            f.write(f"[ca]\ndefault_ca = own\n[own]\ndatabase = {path}.index\nnew_certs_dir = {self.directory}\n"
                    "default_md = sha256\npolicy = any\nunique_subject = no\nrand_serial = yes\n"
                    "[any]\ncommonName = supplied\n")
        return path

    def make(self, name, names=("localhost",), days=365, self_signed=False, common_name=None):
        """names: DNS names, or addresses; the first is the common name if there is no other. days:
        from now until its end, may be a fraction; below 0: it has expired. Returns the file."""
        base = f"{self.directory}/{name}"
        alternatives = ",".join(("IP:" if n.replace(".", "").isdigit() or ":" in n else "DNS:") + n
                                for n in names)
        with open(f"{base}.ext", "w") as f:
            f.write(f"subjectAltName={alternatives}\n")
        self._run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-keyout", f"{base}.key", "-out", f"{base}.csr", "-utf8", "-subj", f"/CN={common_name or names[0]}")
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
        begin = end - datetime.timedelta(days=abs(days) + 1)
        signer = ["-selfsign", "-keyfile", f"{base}.key"] if self_signed else \
            ["-cert", self.ca, "-keyfile", f"{self.directory}/{self.name}.key"]
        self._run("ca", "-batch", "-notext", "-utf8", "-config", self._config(), *signer,
                  "-startdate", f"{begin:%Y%m%d%H%M%SZ}", "-enddate", f"{end:%Y%m%d%H%M%SZ}",
                  "-in", f"{base}.csr", "-extfile", f"{base}.ext", "-out", f"{base}.crt")
        with open(f"{base}.pem", "w") as f:
            for part in ".crt", ".key":
                with open(base + part) as one:
                    f.write(one.read())
        return self.path(name)
