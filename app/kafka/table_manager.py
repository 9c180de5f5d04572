"""A start without a pause: Faust's tables wait for one second, whatever the agents do."""

from __future__ import annotations

import asyncio

from faust.tables import TableManager

#: How long Faust waits, seconds, and how often it is looked here in that time.
_LONGEST = 1.0
_PAUSE = 0.01


class PromptTableManager(TableManager):  # type: ignore[misc]
    """Waits only until the agents have their streams: what is subscribed to later costs another rebalance."""

    async def on_start(self) -> None:
        """Register the tables, and begin their recovery."""
        for _ in range(round(_LONGEST / _PAUSE)):
            if self.should_stop or self._has_all_streams():
                break
            await asyncio.sleep(_PAUSE)
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    def _has_all_streams(self) -> bool:
        wanted = {name for agent in self.app.agents.values() for name in agent.get_topic_names()}
        return wanted <= {name for channel in self.app.topics for name in channel.topics}
