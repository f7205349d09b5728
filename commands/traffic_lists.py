"""The lists in force: what they say of who sent a hit."""

from __future__ import annotations

import msgspec

from commands.robots import is_known_robot
from domain.engagement import DATA_CENTRE, NO_USER_AGENT, NOT_A_BROWSER, ROBOT, Judgement
from domain.networks import Networks
from domain.traffic_lists import KNOWN_BROWSERS, UserAgentPatterns


class TrafficLists(msgspec.Struct, frozen=True, kw_only=True):
    """One state of the lists; a changed file makes another one."""

    robots: UserAgentPatterns = UserAgentPatterns()
    """Beside those that the crawler-user-agents list knows."""
    browsers: UserAgentPatterns = KNOWN_BROWSERS
    data_centres: Networks = Networks()

    def is_robot(self, user_agent: str) -> bool:
        """Whether the user agent is a robot's; an empty one is nobody's."""
        return is_known_robot(user_agent) or (bool(self.robots) and self.robots.match(user_agent))

    def objection(self, ip: str, user_agent: str) -> Judgement | None:
        """Both passes: not a known robot, and something that people use; then where the hit came from."""
        if not user_agent.strip():
            return NO_USER_AGENT
        if self.is_robot(user_agent):
            return ROBOT
        if not self.browsers.match(user_agent):
            return NOT_A_BROWSER
        if self.data_centres and ip in self.data_centres:
            return DATA_CENTRE
        return None
