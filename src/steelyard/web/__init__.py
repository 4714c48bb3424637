"""The web user interface: pages for people, over the same commands and snapshots as the interfaces for programs.

`app` assembles it, `frame` is what every page gets, `menu` says which pages the menu leads to, `pages/` holds them.
"""
