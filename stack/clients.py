"""Programs that talk to the platform as its users' do: fetched like the services, and not among them."""

from __future__ import annotations

from stack.downloads import Download, npm
from stack.tools import Tool

NODE = Tool("node", package="nodejs", brew="node")
NPM = Tool("npm", package="npm", brew="node")

_NEWMAN = "6.2.2"

#: Runs collections of Postman: ``node_modules/.bin/newman``.
NEWMAN = Download(f"newman-{_NEWMAN}", (), (NODE, NPM), npm(f"newman@{_NEWMAN}"))
