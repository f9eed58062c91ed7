"""Documents about a run: a record and its judgement in, text out; nothing is read, asked or judged here."""
