"""The tools of the operations shell: each decides what becomes of one call, and acts on the sandbox alone."""
