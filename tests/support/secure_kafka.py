"""A broker that asks who its clients are, with a listener for each way, and the certificates for it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from stack import KAFKA, Instance, Options
from stack.downloads import LIBRARY
from stack.errors import Cancellation
from stack.model import Place
from stack.services import _kafka_java

USER, PASSWORD = "bulk", "the-password-of-bulk"

_LISTENERS = ("SASL_SSL", "SSL", "SASL_PLAINTEXT")
_MODULES = "org.apache.kafka.common.security"
_PROPERTIES = """
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=%(pem)s/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=%(pem)s/ca.pem
listener.name.ssl.ssl.client.auth=required
""" + "".join(
    f"""
listener.name.{listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.{listener}.plain.sasl.jaas.config={_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";
listener.name.{listener}.scram-sha-256.sasl.jaas.config={_MODULES}.scram.ScramLoginModule required;
listener.name.{listener}.scram-sha-512.sasl.jaas.config={_MODULES}.scram.ScramLoginModule required;
listener.name.{listener}.oauthbearer.sasl.jaas.config={_MODULES}.oauthbearer.OAuthBearerLoginModule required \
unsecuredLoginStringClaim_sub="broker";
"""
    for listener in ("sasl_ssl", "sasl_plaintext")
)


class Authority:
    """A certificate authority and what it has signed: a broker (``127.0.0.1``), a client; and one that is foreign."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("ca", "foreign"):
            self._openssl(
                *self._new(name), "-x509", "-out", f"{name}.pem", "-addext", "basicConstraints=critical,CA:true"
            )
        for name in ("broker", "client"):
            self._openssl(*self._new(name), "-out", f"{name}.csr")
            (directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
            signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2")
            self._openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt")
            (directory / f"{name}.pem").write_text(
                (directory / f"{name}.key").read_text() + (directory / f"{name}.crt").read_text()
            )

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def _new(self, name: str) -> tuple[str, ...]:
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        return ("req", *curve, "-subj", f"/CN={name}", "-keyout", f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)


class SecureKafka:
    """The broker: start it, and take the settings of a client that is let in."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory / "pem")
        program = KAFKA.programs[-1]
        service = replace(
            KAFKA,
            programs=(
                replace(program, prepare=self._prepare, extra_ports=("controller", *map(str.lower, _LISTENERS))),
            ),
        )
        self.instance = Instance(
            service,
            directory / "kafka",
            address=None,
            library=LIBRARY,
            options=Options(),
            cancellation=Cancellation(),
            report=lambda _name, _text: None,
        )
        self._prepare_plain = program.prepare
        self._ports: dict[str, int] = {}

    def start(self) -> SecureKafka:
        self.instance.start()
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            self._add_user(mechanism)
        return self

    def stop(self) -> None:
        self.instance.close()

    def broker(self, protocol: str) -> str:
        return f"127.0.0.1:{self._ports.get(protocol.lower()) or self.instance.port}"

    def settings(self, mechanism: str = "SCRAM-SHA-512", protocol: str = "SASL_SSL") -> dict[str, str]:
        """What a client sets that is let in by a user and a password."""
        return {
            "KAFKA_BROKER": self.broker(protocol),
            "KAFKA_SECURITY_PROTOCOL": protocol,
            "KAFKA_SASL_MECHANISM": mechanism,
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            **({"KAFKA_SSL_CA_FILE": self.authority.path("ca.pem")} if protocol == "SASL_SSL" else {}),
        }

    def _prepare(self, place: Place) -> None:
        self._place, self._ports = place, dict(place.extra_ports)
        self._prepare_plain(place)
        file = place.directory / "server.properties"
        added = "".join(f",{name}://{place.host}:{place.extra_ports[name.lower()]}" for name in _LISTENERS)
        text = re.sub(r"^((?:advertised\.)?listeners=.*)$", rf"\1{added}", file.read_text(), flags=re.MULTILINE)
        file.write_text(text + _PROPERTIES % {"pem": self.authority.directory})

    def _add_user(self, mechanism: str) -> None:
        command = _kafka_java(self._place, "kafka.admin.ConfigCommand")
        where = ("--bootstrap-server", self.broker("PLAINTEXT"), "--entity-type", "users", "--entity-name", USER)
        change = ("--alter", "--add-config", f"{mechanism}=[iterations=4096,password={PASSWORD}]")
        subprocess.run([*command, *where, *change], cwd=self._place.directory, check=True, capture_output=True)


def unsecured_token(life: float = 600) -> str:
    """A token that a broker takes which was told to check no signature."""

    def part(data: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

    now = time.time()
    return f"{part({'alg': 'none'})}.{part({'sub': USER, 'iat': now, 'exp': now + life})}."
