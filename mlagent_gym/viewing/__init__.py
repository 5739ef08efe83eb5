"""Recordings as pages to look at: one self-contained HTML file that needs no network."""

from mlagent_gym.viewing.page import view_page, write_page
from mlagent_gym.viewing.serve import serve

__all__ = ["serve", "view_page", "write_page"]
