"""What the servers that log by Log4j say: warnings, to where their output goes."""

from __future__ import annotations

#: The content of a log4j2.properties.
WARNINGS = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""
