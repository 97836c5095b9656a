"""The routes of Reachbook itself: /x."""
