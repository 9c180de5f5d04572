"""The gateway as a service of this machine: nginx with the rules of deploy/nginx, in a directory of its own.

It needs no privileges and touches nothing of a system's nginx. One process, because workers of nginx would outlive a
master that is killed, and keep its port.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from stack.downloads import HERE
from stack.model import Place
from stack.tools import Tool

RULES = HERE.parent / "deploy" / "nginx"
NGINX = Tool("nginx", package="nginx", brew="nginx")

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def prepare(place: Place) -> None:
    """Write the configuration: the shared rules as they are, and the files that are this place's own."""
    directory, options = place.directory, place.options
    for name in ("nginx.conf", "answer.conf", "tls.conf"):
        shutil.copyfile(RULES / name, directory / name)
    shutil.copyfile(options.gateway_limits or RULES / "limits.conf", directory / "limits.conf")
    (directory / "workers.conf").write_text(
        "".join(f"server {place.host}:{port} max_fails=1 fail_timeout=5s;\n" for port in options.workers)
    )
    temporary = directory / "temporary"
    temporary.mkdir(exist_ok=True)
    listen = [f"listen {place.host}:{place.port};"]
    if options.gateway_tls is not None:
        copy_tls(options.gateway_tls, directory / "tls")
        listen += [f"listen {place.host}:{place.extra_ports['tls']} ssl;", "include tls.conf;"]
    listen += [f"{name}_temp_path {temporary / name};" for name in _TEMPORARY]
    (directory / "listen.conf").write_text("\n".join(listen) + "\n")


def copy_tls(source: Path, target: Path) -> None:
    """Copy certificate.pem and key.pem, the key for its owner's eyes only."""
    target.mkdir(exist_ok=True)
    for name in ("certificate.pem", "key.pem"):
        (target / name).touch(mode=0o600)
        shutil.copyfile(source / name, target / name)


def command(place: Place) -> list[str]:
    """Return the command line: in the foreground, errors to the log."""
    main = f"daemon off; master_process off; pid {place.directory / 'nginx.pid'};"
    program = NGINX.path() or NGINX.command
    return [program, "-p", f"{place.directory}/", "-c", str(place.directory / "nginx.conf"), "-e", "stderr", "-g", main]
