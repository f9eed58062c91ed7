"""The scenarios run on this project's own sandbox; the plugin does the rest."""
