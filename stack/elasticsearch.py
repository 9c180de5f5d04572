"""Elasticsearch as a service of this machine: one node, without access control, in a directory of its own.

What Maven has of it is the distribution for integration tests: the server itself, without most of its modules. So there
is neither ``GET /`` nor a data stream, no ``_delete_by_query``, no script, and no lifecycle policy.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import zipfile
from pathlib import Path

from stack import log4j
from stack.downloads import POM, Build, maven
from stack.errors import Cancellation, StackError
from stack.model import Place
from stack.tools import Tool

#: Becomes another user, without losing the way through directories that are closed to others.
SETPRIV = Tool("setpriv", package="util-linux", brew="")
#: Elasticsearch refuses to run as root.
_USER = "nobody"

_SETTINGS = """\
cluster.name: stack
node.name: stack
discovery.type: single-node
http.host: {host}
http.port: {port}
transport.host: {host}
transport.port: {transport}
path.data: {directory}/data
path.logs: {directory}/logs
xpack.security.enabled: false
# A disk that is nearly full, with whatever, is no reason to refuse what a test writes.
cluster.routing.allocation.disk.threshold_enabled: false
"""

# The quick compiler alone, and no heap that is touched in advance: it starts in half the time.
_JVM_OPTIONS = """\
-Xms{heap}
-Xmx{heap}
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-XX:-AlwaysPreTouch
-XX:+ExitOnOutOfMemoryError
-XX:ErrorFile={directory}/logs/hs_err_pid%p.log
-Djava.io.tmpdir={directory}/tmp
"""


def download() -> Build:
    """Build by unpacking the distribution, which Maven brings as a zip file."""
    copy = maven("elasticsearch")

    def build(directory: Path, log: Path, cancellation: Cancellation) -> None:
        copy(directory, log, cancellation)
        [archive] = directory.glob("elasticsearch-*.zip")
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(directory)
        archive.unlink()
        # The zip file has no permissions, and one directory in which all is.
        [home] = directory.iterdir()
        home.rename(directory / "home")
        for program in (directory / "home" / "bin").iterdir():
            program.chmod(0o755)

    return build


SOURCES = (POM,)


def prepare(place: Place) -> None:
    """Write the configuration, and give what it writes to the user it runs as."""
    directory = place.directory
    for name in ("config", "data", "logs", "tmp"):
        (directory / name).mkdir(exist_ok=True)
    config = directory / "config"
    (config / "elasticsearch.yml").write_text(
        _SETTINGS.format(
            host=place.host, port=place.port, transport=place.extra_ports["transport"], directory=directory
        )
    )
    (config / "jvm.options").write_text(_JVM_OPTIONS.format(heap=place.options.elasticsearch_heap, directory=directory))
    (config / "log4j2.properties").write_text(log4j.WARNINGS)
    if os.geteuid() == 0:
        account = pwd.getpwnam(_USER)
        for name in ("config", "data", "logs", "tmp"):
            for path in (directory / name, *(directory / name).rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def command(place: Place) -> list[str]:
    """Return the command line: in the foreground, and never as root."""
    home = (place.library or place.directory) / "home"
    return [
        *_as_nobody(),
        "env",
        f"ES_JAVA_HOME={_java_home()}",
        f"ES_PATH_CONF={place.directory / 'config'}",
        str(home / "bin" / "elasticsearch"),
    ]


def _as_nobody() -> list[str]:
    if os.geteuid() != 0:
        return []
    if sys.platform != "linux":
        raise StackError("elasticsearch refuses to run as root; start this as another user")
    account = pwd.getpwnam(_USER)
    # With that bit the kernel also says so when it is only asked (access) whether a file can be reached.
    way = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup")
    user = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    # The change of user takes away what the launcher has asked the kernel for: to end this process with its own.
    return [SETPRIV.path() or SETPRIV.command, *user, *way, "--pdeathsig=KILL"]


def _java_home() -> Path:
    java = shutil.which("java")
    return Path(java).resolve().parent.parent if java else Path("/usr")
